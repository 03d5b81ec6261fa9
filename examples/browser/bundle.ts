/** A bundle on a static host: its manifest, and its files, each checked against its hash. */

export interface ListedFile {
  file: string;
  sha256: string;
  bytes: number;
}

export interface Variant {
  name: string;
  precision: string;
  target: string;
  files: { model: ListedFile[] };
  inputs: { model: { name: string; default: number | null }[] };
}

export interface Manifest {
  schema_version: number;
  head: string;
  labels: string[];
  problem_type: string | null;
  files: ListedFile[];
  variants: Variant[];
}

const MANIFEST = "albert_edge.json";
const SCHEMA_VERSION = 2;

export class Bundle {
  private readonly read = new Map<string, number>();

  private constructor(
    readonly address: URL,
    readonly manifest: Manifest,
  ) {}

  /** Open the bundle in a folder of the host; the address ends with a slash. */
  static async open(address: URL): Promise<Bundle> {
    const manifest: Manifest = await (await request(new URL(MANIFEST, address))).json();
    if (manifest.schema_version !== SCHEMA_VERSION) {
      throw new Error(
        `${address.pathname}${MANIFEST} has schema version ${manifest.schema_version}, and this ` +
          `page reads ${SCHEMA_VERSION}. Export the model again, or update the page.`,
      );
    }
    return new Bundle(address, manifest);
  }

  /** How many bytes were read so far. */
  get transferred(): number {
    return [...this.read.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Whether the bundle has a file. */
  lists(name: string): boolean {
    return this.find(name) !== undefined;
  }

  async json<T>(name: string): Promise<T> {
    return JSON.parse(new TextDecoder().decode(await this.bytes(name)));
  }

  /** Read a file that the manifest lists, and compare it with the hash there. */
  async bytes(name: string): Promise<Uint8Array<ArrayBuffer>> {
    const expected = this.find(name);
    if (!expected) throw new Error(`${this.address.pathname}${MANIFEST} does not list ${name}.`);
    const bytes = new Uint8Array(await (await request(new URL(name, this.address))).arrayBuffer());
    if ((await sha256(bytes)) !== expected.sha256) {
      throw new Error(
        `${this.address.pathname}${name} differs from its hash in ${MANIFEST}. ` +
          "Copy the bundle to the host again, all of its files.",
      );
    }
    this.read.set(name, bytes.length);
    return bytes;
  }

  private find(name: string): ListedFile | undefined {
    const { files, variants } = this.manifest;
    const listed = [...files, ...variants.flatMap((variant) => variant.files.model)];
    return listed.find(({ file }) => file === name);
  }
}

async function request(address: URL): Promise<Response> {
  const response = await fetch(address);
  if (!response.ok) {
    throw new Error(
      `${address.pathname} could not be read: ${response.status} ${response.statusText}. ` +
        "Copy the whole bundle to the host.",
    );
  }
  return response;
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
