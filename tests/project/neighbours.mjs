// Answers of transformers.js on WebAssembly in node, with the files of bundles on this machine.
//
//     node neighbours.mjs MODULES < ORDERS
//
// MODULES is a node_modules with transformers.js. Reads {"texts": [...], "models": [[folder,
// options], ...]} and writes for each model the scores of all labels for each text, or an error.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [, , modules] = process.argv;
const address = (file) => pathToFileURL(join(modules, file)).href;
const wasm = (ending) => address(`onnxruntime-web/dist/ort-wasm-simd-threaded.${ending}`);

Object.defineProperty(process, "release", { value: { name: "a browser" } }); // else it wants onnxruntime-node
const { env, pipeline } = await import(address("@huggingface/transformers/dist/transformers.web.js"));
env.allowRemoteModels = false;
env.allowLocalModels = true;
env.useBrowserCache = false;
env.useWasmCache = false;
env.backends.onnx.wasm.numThreads = 1;
env.backends.onnx.wasm.wasmPaths = { mjs: wasm("mjs"), wasm: wasm("wasm") };
env.fetch = async (path) => {
  try {
    return new Response(readFileSync(join("/", path))); // it takes the first slash off
  } catch {
    return new Response(null, { status: 404 });
  }
};

const { texts, models } = JSON.parse(readFileSync(0, "utf8"));
const found = [];
for (const [folder, options] of models) {
  try {
    const classify = await pipeline("text-classification", folder, options);
    const scores = [];
    for (const text of texts) {
      const answer = await classify(text, { top_k: null });
      scores.push(Object.fromEntries(answer.map(({ label, score }) => [label, score])));
    }
    found.push(scores);
  } catch (error) {
    found.push(String(error));
  }
}
process.stdout.write(JSON.stringify(found), () => process.exit(0));
