/** The page: loads a bundle, tests it, and answers while the user types. */

import * as ort from "onnxruntime-web/webgpu";

import { Bundle } from "./bundle.ts";
import { capabilities, choose, type Choice, type Gpu } from "./device.ts";
import type { Engine, Entity, Item, Label } from "./engine.ts";
import { Runtime } from "./runtime.ts";
import { selfTest } from "./self_test.ts";

const DEFAULT_BUNDLE = "bundle";
const RUNTIMES = ["transformers.js", "albert-edge"];
const ONE_FOLDER = /^[\w-][\w.-]*$/;

const root = document.documentElement;
const element = <E extends HTMLElement>(id: string): E => document.getElementById(id) as E;
const form = element<HTMLFormElement>("ask");
const text = element<HTMLTextAreaElement>("text");
const second = element<HTMLTextAreaElement>("second");
const answer = element("answer");
const status = element("status");
const wishes = new URLSearchParams(location.search);

/** The labels of the fields, by the head of the model. */
const FIELDS: Record<string, [string, string?]> = {
  "text-classification": ["Text", "Second text, for a model of pairs"],
  "token-classification": ["Text"],
  "multiple-choice": ["Beginning", "Continuations, one a line"],
  pretraining: ["First part", "Second part"],
};

async function start(): Promise<void> {
  const started = performance.now();
  const folder = wishes.get("bundle") ?? DEFAULT_BUNDLE;
  if (!ONE_FOLDER.test(folder)) throw new Error(`${folder} is not a folder beside this page.`);
  const bundle = await Bundle.open(new URL(`${folder}/`, location.href));
  const { head, variants } = bundle.manifest;
  if (!FIELDS[head]) throw new Error(`This page has no form for a model of ${head}.`);
  const can = await capabilities((navigator as { gpu?: Gpu }).gpu);
  const choice = choose(variants, can, {
    device: wishes.get("device"),
    precision: wishes.get("precision"),
  });
  const engine = await load(bundle, choice);
  const passed = await selfTest(bundle, engine, choice);
  const seconds = (performance.now() - started) / 1000;
  const threads = ort.env.wasm.numThreads ?? 1;
  show({
    model: `${folder}, ${head}`,
    runtime: engine.name,
    device: choice.device === "wasm" ? `wasm, threads: ${threads}` : choice.device,
    precision: choice.precision,
    "self-test": passed
      ? `${passed.items} stored answers equal, largest difference ${passed.difference.toPrecision(2)}`
      : "not checked: the bundle stores no answers of this variant",
    loaded: `${(bundle.transferred / 1e6).toFixed(1)} MB of the bundle in ${seconds.toFixed(1)} s`,
  });
  status.textContent = passed ? "Ready, and checked." : "Ready, but not checked.";
  root.dataset.state = passed ? "ready" : "unchecked";
  listen(head, engine);
}

/** Load the runtime that the address asks for; by default transformers.js if it knows the model. */
async function load(bundle: Bundle, choice: Choice): Promise<Engine> {
  const suffix = choice.device === "webgpu" ? ".asyncify" : "";
  const file = (ending: string): string =>
    new URL(`ort-wasm-simd-threaded${suffix}.${ending}`, location.href).href;
  ort.env.wasm.wasmPaths = { mjs: file("mjs"), wasm: file("wasm") };
  // Threads share memory, which browsers allow only if the host sends two headers.
  ort.env.wasm.numThreads = crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
  const wish = wishes.get("runtime");
  if (wish && !RUNTIMES.includes(wish)) {
    throw new Error(`${wish} is not a runtime of this page: it has ${RUNTIMES.join(" and ")}.`);
  }
  if (wish !== "albert-edge") {
    const { answersWith, Transformers } = await import("./transformers.ts");
    if (answersWith(bundle.manifest)) return Transformers.load(bundle, choice);
    if (wish) throw new Error("transformers.js has no class for this model.");
  }
  return Runtime.load(bundle, choice.variant.name, choice.device);
}

/** Answer whatever is in the form, the latest only: while an answer is computed, texts change. */
function listen(head: string, engine: Engine): void {
  const [first, other] = FIELDS[head]!;
  element("text-label").textContent = first;
  element("second-label").textContent = other ?? "";
  element("second-field").hidden = !other;
  form.hidden = false;
  let busy = false;
  let changed = false;
  const respond = async (): Promise<void> => {
    changed = true;
    if (busy) return;
    busy = true;
    while (changed) {
      changed = false;
      await respondOnce(head, engine);
    }
    busy = false;
  };
  form.addEventListener("input", () => void respond());
  if (text.value) void respond();
}

async function respondOnce(head: string, engine: Engine): Promise<void> {
  const item = read(head);
  const started = performance.now();
  try {
    const answers = item ? await engine.answer(item) : [];
    const elapsed = performance.now() - started;
    draw(answers, engine);
    element("latency").textContent = item ? `${elapsed.toFixed(elapsed < 10 ? 1 : 0)} ms` : "";
    form.dispatchEvent(new CustomEvent("answer", { detail: answers })); // for a program around it
  } catch (error) {
    answer.replaceChildren(make("p", "problem", message(error)));
    form.dispatchEvent(new CustomEvent("answer", { detail: null }));
  }
}

/** The item in the form; null while a field that the model needs is empty. */
function read(head: string): Item | null {
  if (!text.value) return null;
  if (head === "multiple-choice") {
    const choices = second.value.split("\n").filter((line) => line.trim());
    return choices.length ? { prompt: text.value, choices } : null;
  }
  if (head === "pretraining" && !second.value) return null;
  return { text: text.value, text_pair: second.value };
}

function draw(answers: Label[] | Entity[], engine: Engine): void {
  if (engine instanceof Runtime && answers[0] && "word" in answers[0]) {
    const groups = engine.group(answers as Entity[]);
    answer.replaceChildren(
      ...groups.map((group) => {
        const chip = make("span", "entity", group.word);
        chip.append(make("b", "", group.entity_group!), make("small", "", percent(group.score)));
        return chip;
      }),
    );
    return;
  }
  answer.replaceChildren(
    ...(answers as Label[]).map(({ label, score }) => {
      const row = make("div", "label");
      const bar = make("span", "bar");
      bar.style.setProperty("--score", String(Math.min(1, Math.max(0, score))));
      row.append(make("b", "", label), bar, make("span", "score", percent(score)));
      return row;
    }),
  );
}

function show(facts: Record<string, string>): void {
  const rows = Object.entries(facts).map(([name, value]) => {
    const row = make("div", "");
    row.append(make("dt", "", name), make("dd", "", value));
    return row;
  });
  element("facts").prepend(...rows);
}

function make(name: string, kind: string, content = ""): HTMLElement {
  const node = document.createElement(name);
  node.className = kind;
  node.textContent = content;
  return node;
}

const percent = (score: number): string => `${(100 * score).toFixed(1)} %`;
const message = (error: unknown): string => (error instanceof Error ? error.message : String(error));

for (const name of ["runtime", "device", "precision"]) {
  const select = element<HTMLSelectElement>(name);
  select.value = wishes.get(name) ?? "";
  select.addEventListener("change", () => {
    if (select.value) wishes.set(name, select.value);
    else wishes.delete(name);
    location.search = wishes.toString();
  });
}

start().catch((error: unknown) => {
  status.textContent = message(error);
  root.dataset.state = "refused";
});
