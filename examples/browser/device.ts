/** Which processor answers, and from which file of the bundle. */

import type { Variant } from "./bundle.ts";

export type Device = "wasm" | "webgpu";

/** What a precision is called here and in transformers.js, which makes the file's name of it. */
export const DTYPES = { int8: "q8", fp16: "fp16", fp32: "fp32" } as const;
export type Precision = keyof typeof DTYPES;
const NAMES: Record<Precision, string> = {
  int8: "model_quantized",
  fp16: "model_fp16",
  fp32: "model",
};

/** What a device computes correctly, the best first: WebGPU has no kernels for our int8 file. */
const SUITABLE: Record<Device, Precision[]> = {
  wasm: ["int8", "fp32"],
  webgpu: ["fp16", "fp32"],
};

/** What a browser can do. */
export interface Capabilities {
  webgpu: boolean;
  /** Whether its WebGPU computes in fp16. */
  fp16: boolean;
  /** Whether it is emulated on the CPU, which is slower than WebAssembly there. */
  emulated: boolean;
}

export interface Choice {
  device: Device;
  precision: Precision;
  variant: Variant;
}

interface Adapter {
  features: { has(name: string): boolean };
  info?: { isFallbackAdapter?: boolean };
}
export interface Gpu {
  requestAdapter(): Promise<Adapter | null>;
}

/** Ask a browser what it can do; `gpu` is that of its navigator, if it has one. */
export async function capabilities(gpu: Gpu | undefined): Promise<Capabilities> {
  const adapter = await gpu?.requestAdapter().catch(() => null);
  return {
    webgpu: Boolean(adapter),
    fp16: adapter?.features.has("shader-f16") ?? false,
    emulated: adapter?.info?.isFallbackAdapter ?? false,
  };
}

/** Choose a device and a variant, from what the browser can do and what the user wishes. */
export function choose(
  variants: Variant[],
  can: Capabilities,
  wish: { device?: string | null; precision?: string | null } = {},
): Choice {
  const devices: Device[] = can.webgpu ? ["webgpu", "wasm"] : ["wasm"];
  for (const device of devices) {
    if (wish.device ? wish.device !== device : device === "webgpu" && can.emulated) continue;
    for (const precision of SUITABLE[device]) {
      if (wish.precision && wish.precision !== precision) continue;
      if (precision === "fp16" && !can.fp16) continue;
      const variant = variants.find(({ name }) => name === NAMES[precision]);
      // int8 uses operators of onnxruntime, which its wasm build has; a GPU needs ONNX's own.
      if (variant && (device === "wasm" || variant.target === "portable")) {
        return { device, precision, variant };
      }
    }
  }
  const precision = wish.precision && `in ${wish.precision}`;
  const asked = [precision, wish.device && `on ${wish.device}`].filter(Boolean).join(" ");
  const there = variants.map((variant) => variant.name).join(", ");
  const gpu = can.webgpu ? "WebGPU is available" : "WebGPU is not available";
  throw new Error(
    `This bundle cannot be run ${asked || "in this browser"}: it has ${there}; ${gpu}. ` +
      "On wasm int8 and fp32 run, on WebGPU fp32 and portable fp16.",
  );
}
