/** What both ways of answering have in common. */

/** An item by the names of its task's fields. */
export type Item =
  | { text: string; text_pair?: string | null }
  | { prompt: string; choices: string[] };

/** Token ids and types of one sequence. */
export interface Encoding {
  ids: number[];
  types: number[];
}

/** Numbers as nested lists, which self_test.json has too. */
export type Nested = number | Nested[];
export type Inputs = Record<string, Nested[]>;

/** An output of a model: values in the order of memory, and the size of each axis. */
export interface Output {
  data: Float32Array;
  dims: readonly number[];
}
export type Outputs = Record<string, Output>;

/** A class of a text, or a choice with its place among the choices. */
export interface Label {
  label: string;
  score: number;
  index?: number;
}

/** A token with its label, or a group of neighbouring tokens. */
export interface Entity {
  entity?: string;
  entity_group?: string;
  score: number;
  index?: number;
  word: string;
}

export interface Engine {
  readonly name: string;
  /** Tokenize an item: one sequence, or one for each choice. */
  encode(item: Item): Encoding[];
  /** Run the model on ids. */
  run(inputs: Inputs): Promise<Outputs>;
  /** Answer an item. */
  answer(item: Item): Promise<Label[] | Entity[]>;
}

/** Flatten nested lists, and find their sizes. */
export function flatten(nested: Nested[]): { values: number[]; dims: number[] } {
  const dims: number[] = [];
  for (let part: Nested = nested; Array.isArray(part); part = part[0] ?? 0) dims.push(part.length);
  return { values: (nested as unknown[]).flat(Infinity) as number[], dims };
}

export function softmax(logits: number[]): number[] {
  const top = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - top));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

export const sigmoid = (logit: number): number => 1 / (1 + Math.exp(-logit));

/** Sort answers, the best first. */
export const ranked = (answers: Label[]): Label[] => answers.sort((a, b) => b.score - a.score);

export const named = (labels: string[], scores: number[]): Label[] =>
  ranked(labels.map((label, index) => ({ label, score: scores[index]! })));
