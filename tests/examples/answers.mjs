// Answers in node, with both runtimes of the page and onnxruntime-web's WebAssembly.
//
// Reads orders by name from stdin, {"address": ..., "items": [...], "runtimes": [...],
// "precisions": [...]}, and writes for each order, runtime and precision {"tested": ...,
// "encodings": [...], "answers": [...], "groups": [...]}, or the message of an error; and as
// "classes" the heads for which transformers.js has a class of ALBERT.

import { readFileSync } from "node:fs";
import * as transformers from "@huggingface/transformers";
import * as ort from "onnxruntime-web/webgpu";

import { Bundle } from "./bundle.ts";
import { choose } from "./device.ts";
import { Runtime } from "./runtime.ts";
import { selfTest } from "./self_test.ts";
import { Transformers } from "./transformers.ts";

const file = (ending) => import.meta.resolve(`onnxruntime-web/ort-wasm-simd-threaded.${ending}`);
ort.env.wasm.wasmPaths = { mjs: file("mjs"), wasm: file("wasm") };
ort.env.wasm.numThreads = 1;
const wasm = { webgpu: false, fp16: false, emulated: false };
const found = {};
for (const [name, order] of Object.entries(JSON.parse(readFileSync(0, "utf8")))) {
  found[name] = {};
  for (const runtime of order.runtimes) {
    found[name][runtime] = {};
    for (const precision of order.precisions) {
      const answered = answer(order, runtime, precision).catch((error) => error.message);
      found[name][runtime][precision] = await answered;
    }
  }
}
const CLASSES = ["SequenceClassification", "MaskedLM", "QuestionAnswering"];
CLASSES.push("TokenClassification", "MultipleChoice", "PreTraining");
found.classes = CLASSES.filter((name) =>
  transformers[`AutoModelFor${name}`]?.MODEL_CLASS_MAPPINGS.some((known) => known.has("albert")),
);
process.stdout.write(JSON.stringify(found));

async function answer({ address, items }, runtime, precision) {
  const bundle = await Bundle.open(new URL(address));
  const choice = choose(bundle.manifest.variants, wasm, { precision });
  const engine =
    runtime === "transformers.js"
      ? await Transformers.load(bundle, choice)
      : await Runtime.load(bundle, choice.variant.name, choice.device);
  const tested = await selfTest(bundle, engine, choice);
  const result = { tested, encodings: [], answers: [], groups: [] };
  for (const item of items) {
    const answers = await engine.answer(item);
    result.encodings.push(engine.encode(item));
    result.answers.push(answers);
    result.groups.push("word" in (answers[0] ?? {}) ? engine.group(answers) : []);
  }
  return result;
}
