// Reads {"folders": [...], "texts": [[text, pair or null], ...]} from stdin, and writes to stdout
// for each folder what its tokenizer makes of each text.

import { existsSync, readFileSync } from "node:fs";
import { AutoTokenizer, env } from "@huggingface/transformers";

env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = "";
// It is the build for browsers, which reads no files itself.
env.fetch = async (path) =>
  existsSync(path) ? new Response(readFileSync(path)) : new Response(null, { status: 404 });

const { folders, texts } = JSON.parse(readFileSync(0, "utf8"));
const encodings = {};
for (const folder of folders) {
  const tokenizer = await AutoTokenizer.from_pretrained(folder);
  encodings[folder] = texts.map(([text, text_pair]) =>
    tokenizer(text, { text_pair, return_tensor: false }),
  );
}
process.stdout.write(JSON.stringify(encodings));
