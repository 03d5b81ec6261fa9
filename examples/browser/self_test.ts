/** Compare an engine with the answers that are stored in its bundle. */

import type { Bundle } from "./bundle.ts";
import type { Choice } from "./device.ts";
import type { Engine, Inputs, Item, Nested, Output } from "./engine.ts";

const FILE = "self_test.json";
const SCHEMA_VERSION = 1;

// As in Python: the largest difference that rounding explains, relative to the largest stored
// value of the output if that is over 1. Other processors round activations to other integers.
const TOLERANCE = { fp32: 1e-4, int8: 2e-2, fp16: 2e-2 };

interface Stored {
  schema_version: number;
  items: { fields?: Item; inputs: Inputs }[];
  outputs: Record<string, Record<string, Nested[]>[]>;
}

/** What was compared. */
export interface Passed {
  items: number;
  difference: number;
  tolerance: number;
}

/**
 * Run the self-test.
 *
 * @returns What was compared; null if the bundle has no answers of this variant.
 * @throws If token ids or answers differ by more than rounding does.
 */
export async function selfTest(
  bundle: Bundle,
  engine: Engine,
  choice: Choice,
): Promise<Passed | null> {
  if (!bundle.lists(FILE)) return null;
  const stored = await bundle.json<Stored>(FILE);
  if (stored.schema_version !== SCHEMA_VERSION) {
    throw new Error(`${FILE} has schema version ${stored.schema_version}; update the page.`);
  }
  const answers = stored.outputs[choice.variant.name];
  if (!answers) return null;
  const tolerance = TOLERANCE[choice.precision];
  let difference = 0;
  for (const [number, { fields, inputs }] of stored.items.entries()) {
    if (fields && !sameIds(engine, fields, inputs)) {
      throw new Error(
        `The tokenizer makes other token ids than those in ${FILE}, of item ${number}. ` +
          "This page does not answer, since its answers would be wrong. Report it, with the model.",
      );
    }
    const outputs = await engine.run(inputs);
    for (const [name, expected] of Object.entries(answers[number]!)) {
      const apart = distance(outputs[name], expected);
      if (!(apart <= tolerance)) {
        throw new Error(
          `${name} of item ${number} differs by ${apart.toPrecision(3)} from the answer in ` +
            `${FILE}; rounding explains ${tolerance}. This page does not answer, since its answers ` +
            `would be wrong: ${engine.name} computes something else here than Python does, in ` +
            `${choice.precision} on ${choice.device}. Try the other device, precision or runtime.`,
        );
      }
      difference = Math.max(difference, apart);
    }
  }
  return { items: stored.items.length, difference, tolerance };
}

/** Whether an engine makes the stored ids and types of an item; padding is left aside. */
function sameIds(engine: Engine, item: Item, inputs: Inputs): boolean {
  const rows = (name: string): number[][] => lines(inputs[name] ?? []);
  const masks = rows("attention_mask");
  const kept = (name: string): number[][] =>
    rows(name).map((row, at) => row.filter((_, place) => (masks[at]?.[place] ?? 1) === 1));
  const encodings = engine.encode(item);
  const types = inputs.token_type_ids ? kept("token_type_ids") : null;
  return (
    JSON.stringify(encodings.map(({ ids }) => ids)) === JSON.stringify(kept("input_ids")) &&
    (!types || JSON.stringify(encodings.map(({ types }) => types)) === JSON.stringify(types))
  );
}

/** The innermost lists. */
function lines(nested: Nested[]): number[][] {
  return Array.isArray(nested[0]) ? nested.flatMap((part) => lines(part as Nested[])) : [nested as number[]];
}

/** The largest difference to stored values, which may be the leading entries along each axis. */
function distance(computed: Output | undefined, stored: Nested[]): number {
  if (!computed) return Infinity;
  const { data, dims } = computed;
  let largest = 1;
  let apart = 0;
  const compare = (part: Nested, axis: number, at: number): void => {
    if (typeof part === "number") {
      const difference = axis === dims.length ? Math.abs(part - data[at]!) : Infinity;
      apart = Number.isNaN(difference) ? Infinity : Math.max(apart, difference);
      largest = Math.max(largest, Math.abs(part));
    } else if (part.length > (dims[axis] ?? 0)) {
      apart = Infinity;
    } else {
      part.forEach((next, index) => compare(next, axis + 1, at * dims[axis]! + index));
    }
  };
  compare(stored, 0, 0);
  return apart / largest;
}
