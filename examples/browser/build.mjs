// Builds the page: node build.mjs [BUNDLE] [OUT]
//
// Writes everything that a static host needs into OUT, by default site/: the page, its scripts, the
// two WebAssembly files, and the bundle, if one is given, as bundle/. OUT is emptied first.

import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const [bundle, out = join(here, "site")] = process.argv.slice(2);

if (bundle && !existsSync(join(bundle, "albert_edge.json"))) {
  stop(
    `${bundle} is not the folder of a bundle: it has no albert_edge.json. ` +
      "A packed file has to be unpacked first: albert-edge unpack FILE FOLDER",
  );
}
if (existsSync(out) && readdirSync(out).length && !existsSync(join(out, "page.js"))) {
  stop(`${out} has files, and no page.js of an earlier build: it is not emptied. Name another OUT.`);
}

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await build({
  entryPoints: [join(here, "page.ts")],
  outdir: out,
  bundle: true,
  splitting: true, // transformers.js is fetched only where it answers
  format: "esm",
  platform: "browser",
  target: "es2022",
  minify: true,
  legalComments: "linked",
  conditions: ["onnxruntime-web-use-extern-wasm"], // its loader stays a file of its own
  logLevel: "warning",
});
for (const name of ["index.html", "style.css", "icon.svg"]) {
  cpSync(join(here, name), join(out, name));
}
const runtime = dirname(fileURLToPath(import.meta.resolve("onnxruntime-web/ort-wasm-simd-threaded.wasm")));
for (const kind of ["", ".asyncify"]) {
  for (const ending of ["mjs", "wasm"]) {
    const name = `ort-wasm-simd-threaded${kind}.${ending}`;
    cpSync(join(runtime, name), join(out, name));
  }
}
if (bundle) cpSync(bundle, join(out, "bundle"), { recursive: true });
console.log(`${out}: ${readdirSync(out).join(" ")}`);

function stop(message) {
  console.error(message);
  process.exit(2);
}
