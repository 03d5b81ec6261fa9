/**
 * A bundle on onnxruntime-web, as albert-edge's Python runtime answers with it.
 *
 * It answers what transformers.js has no class for with an ALBERT (token classification, multiple
 * choice, sentence order), pairs of texts, a single score, and texts over the model's limit.
 */

import { Tokenizer } from "@huggingface/tokenizers";
import * as ort from "onnxruntime-web/webgpu";

import type { Bundle, Manifest } from "./bundle.ts";
import type { Device } from "./device.ts";
import type { Encoding, Engine, Entity, Inputs, Item, Label, Nested, Outputs } from "./engine.ts";
import { flatten, named, ranked, sigmoid, softmax } from "./engine.ts";

const FIRST = "\u0000first";
const SECOND = "\u0000second";
const ORDER = ["in-order", "swapped"]; // the classes of AlbertForPreTraining

export class Runtime implements Engine {
  readonly name = "albert-edge";

  private constructor(
    private readonly manifest: Manifest,
    private readonly session: ort.InferenceSession,
    private readonly tokenizer: Tokenizer,
    private readonly limit: number,
  ) {}

  /** Load a variant of a bundle. */
  static async load(bundle: Bundle, variant: string, device: Device): Promise<Runtime> {
    const files = bundle.manifest.variants.find(({ name }) => name === variant)?.files.model ?? [];
    const [model, ...data] = files;
    if (!model || data.length) throw new Error(`${variant} is not one file, which a browser needs.`);
    const [bytes, content, settings, config] = await Promise.all([
      bundle.bytes(model.file),
      bundle.json<object>("tokenizer.json"),
      bundle.json<{ model_max_length?: number }>("tokenizer_config.json"),
      bundle.json<{ max_position_embeddings: number }>("config.json"),
    ]);
    const session = await ort.InferenceSession.create(bytes, { executionProviders: [device] });
    const limit = Math.min(config.max_position_embeddings, settings.model_max_length ?? Infinity);
    return new Runtime(bundle.manifest, session, new Tokenizer(content, settings), limit);
  }

  encode(item: Item): Encoding[] {
    if ("prompt" in item) return item.choices.map((choice) => this.encodePair(item.prompt, choice));
    return [this.encodePair(item.text, item.text_pair || null)]; // as in Python, "" is no pair
  }

  async run(inputs: Inputs): Promise<Outputs> {
    const shape = flatten(inputs.input_ids ?? []).dims;
    const feeds: Record<string, ort.Tensor> = {};
    for (const name of this.session.inputNames) {
      const fill = name === "attention_mask" ? 1 : 0;
      const size = shape.reduce((product, axis) => product * axis, 1);
      const given = inputs[name];
      const values = given ? flatten(given).values : new Array<number>(size).fill(fill);
      feeds[name] = new ort.Tensor("int64", BigInt64Array.from(values, BigInt), shape);
    }
    const outputs = await this.session.run(feeds);
    return outputs as unknown as Outputs;
  }

  async answer(item: Item): Promise<Label[] | Entity[]> {
    const encodings = this.encode(item);
    const { head, labels, problem_type } = this.manifest;
    if ("prompt" in item) {
      const logits: number[] = []; // each choice by itself: they are scored independently
      for (const encoding of encodings) logits.push((await this.logits(encoding, true))[0] ?? NaN);
      const scores = softmax(logits);
      return ranked(item.choices.map((label, index) => ({ label, score: scores[index]!, index })));
    }
    const [encoding] = encodings as [Encoding];
    const logits = await this.logits(encoding);
    if (head === "token-classification") return this.entities(encoding, logits);
    if (head === "pretraining") return named(ORDER, softmax(logits));
    if (head !== "text-classification") throw new Error(`This page has no answer for ${head}.`);
    const independent = problem_type === "multi_label_classification" || labels.length === 1;
    if (problem_type === "regression") return named(labels, logits);
    return named(labels, independent ? logits.map(sigmoid) : softmax(logits));
  }

  /** Join neighbouring tokens with one label, as aggregation_strategy="simple" does in Python. */
  group(entities: Entity[]): Entity[] {
    const groups: Entity[][] = [];
    for (const entity of entities) {
      const last = groups.at(-1)?.at(-1);
      const follows = last && last.index! + 1 === entity.index && tag(last) === tag(entity);
      if (follows && !entity.entity!.startsWith("B-")) groups.at(-1)!.push(entity);
      else groups.push([entity]);
    }
    return groups.map((group) => {
      const words = group.map((entity) => entity.word);
      return {
        entity_group: group[0]!.entity!.replace(/^[^-]*-/, ""),
        score: group.reduce((sum, entity) => sum + entity.score, 0) / group.length,
        word: this.tokenizer.decoder?.decode(words) ?? words.join(" "),
      };
    });
  }

  private async logits(encoding: Encoding, choice = false): Promise<number[]> {
    const row = (values: number[]): Nested[] => (choice ? [[values]] : [values]);
    const outputs = await this.run({
      input_ids: row(encoding.ids),
      token_type_ids: row(encoding.types),
    });
    return [...(outputs.logits ?? outputs.sop_logits)!.data];
  }

  private entities(encoding: Encoding, logits: number[]): Entity[] {
    const { labels } = this.manifest;
    const special = this.layout(false).tokens.indexOf(FIRST); // tokens before the text
    const after = this.layout(false).tokens.length - special - 1;
    return encoding.ids.flatMap((id, index) => {
      if (index < special || index >= encoding.ids.length - after) return [];
      const scores = softmax(logits.slice(index * labels.length, (index + 1) * labels.length));
      const score = Math.max(...scores);
      const entity = labels[scores.indexOf(score)]!;
      const word = this.tokenizer.id_to_token(id) ?? "";
      return entity === "O" ? [] : [{ entity, score, index, word }];
    });
  }

  /** Put special tokens around one or two texts, which are cut to the model's limit. */
  private encodePair(text: string, pair: string | null): Encoding {
    const texts = pair === null ? [text] : [text, pair];
    if (!texts.every((part) => part.isWellFormed())) {
      throw new Error("The text is not valid Unicode: it has half a character. Replace it.");
    }
    const layout = this.layout(pair !== null);
    const [first, second = []] = texts.map((part) => this.tokenizer.tokenize(part));
    const room = this.limit - layout.tokens.length + texts.length;
    const [kept, keptSecond] = cut(first!.length, second.length, room);
    const parts = new Map([[FIRST, first!.slice(0, kept)], [SECOND, second.slice(0, keptSecond)]]);
    const ids: number[] = [];
    const types: number[] = [];
    layout.tokens.forEach((token, place) => {
      for (const piece of parts.get(token) ?? [token]) {
        ids.push(this.tokenizer.token_to_id(piece) ?? this.tokenizer.model?.unk_token_id ?? 0);
        types.push(layout.token_type_ids?.[place] ?? 0);
      }
    });
    return { ids, types };
  }

  /** Where the tokenizer puts special tokens, with marks in the places of the texts. */
  private layout(pair: boolean): { tokens: string[]; token_type_ids?: number[] } {
    const marks: [string[], string[] | null] = [[FIRST], pair ? [SECOND] : null];
    return this.tokenizer.post_processor?.(...marks, true) ?? { tokens: marks.flat() as string[] };
  }
}

/** Cut the longer of two lengths until they are equal, then both. */
function cut(first: number, second: number, room: number): [number, number] {
  if (first + second <= room) return [first, second];
  const shorter = Math.min(first, second, Math.floor(room / 2));
  const longer = Math.min(Math.max(first, second), room - shorter);
  return first <= second ? [shorter, longer] : [longer, shorter];
}

const tag = (entity: Entity): string => entity.entity!.replace(/^[BI]-/, "");
