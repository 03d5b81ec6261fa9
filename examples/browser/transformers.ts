/** A bundle in transformers.js, with the defaults of that library. */

import { env, pipeline, Tensor } from "@huggingface/transformers";
import type { TextClassificationPipeline } from "@huggingface/transformers";

import type { Bundle, Manifest } from "./bundle.ts";
import { DTYPES, type Choice } from "./device.ts";
import { flatten, named, sigmoid, softmax } from "./engine.ts";
import type { Encoding, Engine, Inputs, Item, Label, Outputs } from "./engine.ts";

/**
 * Whether transformers.js answers with a model as Python does.
 *
 * It has no class for the other heads that this page shows, and takes a single score for a
 * probability among one class.
 */
export function answersWith(manifest: Manifest): boolean {
  const { head, labels, problem_type } = manifest;
  return head === "text-classification" && labels.length > 1 && problem_type !== "regression";
}

export class Transformers implements Engine {
  readonly name = "transformers.js";

  private constructor(
    private readonly classify: TextClassificationPipeline,
    private readonly manifest: Manifest,
  ) {}

  /** Load a bundle that `answersWith` accepts. */
  static async load(bundle: Bundle, choice: Choice): Promise<Transformers> {
    const folder = bundle.address.href.split("/").at(-2)!;
    env.allowRemoteModels = false;
    env.allowLocalModels = true;
    env.localModelPath = new URL("..", bundle.address).pathname; // it looks for no file at a URL
    env.useWasmCache = false; // it would run a copy of the library from a blob: address
    env.useBrowserCache = false; // it would keep a model after the host has a newer one
    let reason: unknown;
    env.fetch = async (address) => {
      const name = new URL(address, bundle.address).href.slice(bundle.address.href.length);
      if (!bundle.lists(name)) return new Response(null, { status: 404 });
      const bytes = await bundle.bytes(name).catch((error: unknown) => {
        reason = error; // the library would only say that there is no file
        throw error;
      });
      return new Response(bytes);
    };
    // Without options the device is wasm and the file model_quantized.onnx.
    const byDefault = choice.device === "wasm" && choice.precision === "int8";
    const options = { device: choice.device, dtype: DTYPES[choice.precision] };
    const classify = await pipeline("text-classification", folder, byDefault ? {} : options).catch(
      (error: unknown) => {
        throw reason ?? error;
      },
    );
    return new Transformers(classify as TextClassificationPipeline, bundle.manifest);
  }

  encode(item: Item): Encoding[] {
    const { text, text_pair } = item as { text: string; text_pair?: string };
    const options = { text_pair: text_pair || null, truncation: true, return_tensor: false };
    const encoded = this.classify.tokenizer(text, options as { return_tensor: false });
    const ids = encoded.input_ids as number[];
    return [{ ids, types: (encoded.token_type_ids as number[] | undefined) ?? ids.map(() => 0) }];
  }

  async run(inputs: Inputs): Promise<Outputs> {
    const feeds: Record<string, Tensor> = {};
    const { dims } = flatten(inputs.input_ids ?? []);
    const whole = new Array<number>(dims.reduce((product, axis) => product * axis, 1)).fill(1);
    feeds.attention_mask = new Tensor("int64", BigInt64Array.from(whole, BigInt), dims);
    for (const [name, nested] of Object.entries(inputs)) {
      const { values, dims } = flatten(nested);
      feeds[name] = new Tensor("int64", BigInt64Array.from(values, BigInt), dims);
    }
    return await this.classify.model(feeds);
  }

  async answer(item: Item): Promise<Label[]> {
    const { text, text_pair } = item as { text: string; text_pair?: string };
    if (!text_pair) return (await this.classify(text, { top_k: null })) as Label[];
    // Its pipeline takes no pairs; its tokenizer and its model do.
    const inputs = this.classify.tokenizer(text, { text_pair, truncation: true });
    const outputs: Outputs = await this.classify.model(inputs);
    const logits = [...outputs.logits!.data];
    const { labels, problem_type } = this.manifest;
    const independent = problem_type === "multi_label_classification";
    return named(labels, independent ? logits.map(sigmoid) : softmax(logits));
  }
}
