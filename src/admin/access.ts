// Who may look inside: this host, whoever has the token, whoever has a certificate.
//
// Profiles, incidents and the page show the code's insides, topics and callers, and cost time to make. So by default only this
// host's own peers get them. From elsewhere a request needs ADMIN_TOKEN, as `Authorization: Bearer` or as the password of
// Basic (what `go tool pprof http://sluice:TOKEN@host` and browsers send), or a client certificate (ADMIN_TLS_CLIENT_CA_FILE).
// Metrics and health have no guard: scrapers and probes seldom have credentials, and they tell numbers only.
//
// A loopback address is not enough to be this host's own. A web page may make a browser on this host ask for anything, and
// read it, if its name resolves to 127.0.0.1 (DNS rebinding): so the Host header has to name this host. A proxy or a sidecar on
// this host passes on what others ask: so what is marked as passed on has to have credentials. And what changes something
// must not come from another site's page, which a browser sends with the user's credentials.
//
// 403 says what would help. A browser is asked for the token (401), because it would not send it otherwise.

import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import { hostname } from "node:os";
import type { FastifyInstance } from "fastify";
import { isLoopback } from "./loopback.ts";

export interface AccessOptions {
  /** ADMIN_TOKEN; undefined: there is none. */
  readonly token?: string | undefined;
  /** Whether clients' certificates are asked for and checked. */
  readonly mutualTls?: boolean;
}

/** What there is to know of a request. */
export interface Asking {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  readonly socket: {
    readonly remoteAddress?: string | undefined;
    /** Of a TLS socket: the client's certificate is one of the authorities'. */
    readonly authorized?: boolean;
  };
}

export interface Refusal {
  readonly status: 401 | 403;
  /** What would help. */
  readonly message: string;
}

const TUNNEL = "run the command there (ssh, kubectl exec), or forward the port (ssh -L, kubectl port-forward)";
const SETTINGS =
  "or set ADMIN_TOKEN and send it (Authorization: Bearer, or as the password in the URL), or set ADMIN_TLS_CERT_FILE, ADMIN_TLS_KEY_FILE and ADMIN_TLS_CLIENT_CA_FILE and come with a certificate";
const GIVE_TOKEN =
  "give the token of ADMIN_TOKEN, as `Authorization: Bearer TOKEN` or as the password in the URL (http://sluice:TOKEN@HOST:PORT/)";
const GIVE_CERTIFICATE =
  "come with a certificate that an authority of ADMIN_TLS_CLIENT_CA_FILE has signed (curl --cert --key, go tool pprof -tls_cert -tls_key -tls_ca)";

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

//   credentials = "Bearer" 1*SP token | "Basic" 1*SP base64( user ":" password )     ; the scheme in any case
function tokenOf(authorization: string): string | undefined {
  const [, scheme = "", value = ""] = /^(\S+) +(\S+) *$/.exec(authorization) ?? [];
  if (scheme.toLowerCase() === "bearer") return value;
  if (scheme.toLowerCase() !== "basic") return undefined;
  const pair = Buffer.from(value, "base64").toString();
  return pair.includes(":") ? pair.slice(pair.indexOf(":") + 1) : undefined;
}

/** Whether a Host header names this host: by an address, or by a name that no resolver of others can point here. */
function namesThisHost(host: string | undefined): boolean {
  if (host === undefined) return true;
  const name = host.replace(/:\d*$/, "").toLowerCase();
  if (isIP(name.replace(/^\[(.*)\]$/, "$1")) !== 0) return true;
  return name === "localhost" || name.endsWith(".localhost") || name === hostname().toLowerCase();
}

/** Styles and scripts are asked for without `text/html`, and need to be challenged where the page's path does not begin theirs. */
function isBrowser({ accept, "user-agent": agent }: IncomingHttpHeaders): boolean {
  return accept?.includes("text/html") === true || agent?.startsWith("Mozilla/") === true;
}

function isPassedOn(headers: IncomingHttpHeaders): boolean {
  return Object.keys(headers).some((name) => name === "forwarded" || name === "via" || name.startsWith("x-forwarded-"));
}

function isFromOtherSite({ method, headers }: Asking): boolean {
  if (method === "GET" || headers.origin === undefined) return false;
  // A page without an origin of its own (`null`) is another site, too.
  return !URL.canParse(headers.origin) || new URL(headers.origin).host !== headers.host;
}

export class Access {
  /** Of the token: digests have one length, which timingSafeEqual wants, and tell nothing of the token's. */
  readonly #digest: Buffer | undefined;
  readonly #mutualTls: boolean;

  constructor({ token, mutualTls = false }: AccessOptions) {
    this.#digest = token === undefined ? undefined : digest(token);
    this.#mutualTls = mutualTls;
  }

  /** Why the request is not answered; undefined: it is. */
  refusal(asking: Asking): Refusal | undefined {
    if (isFromOtherSite(asking))
      return { status: 403, message: "the page of another site may not change anything here" };
    const { headers, socket } = asking;
    if (this.#mutualTls && socket.authorized === true) return undefined;
    const given = headers.authorization === undefined ? undefined : tokenOf(headers.authorization);
    if (this.#hasToken(given)) return undefined;
    if (!isLoopback(socket.remoteAddress)) return this.#refuse(asking);
    if (isPassedOn(headers)) return this.#refuse(asking, "what a proxy passes on may come from anywhere, and ");
    if (namesThisHost(headers.host)) return undefined;
    return this.#refuse(asking, `${JSON.stringify(headers.host)} is neither an address nor localhost, and `);
  }

  /** Refuses what asks for the routes that are made on `routes`. */
  guard(routes: FastifyInstance): void {
    routes.addHook("onRequest", async (request, reply) => {
      const refusal = this.refusal({ method: request.method, headers: request.headers, socket: request.socket });
      if (refusal === undefined) return;
      if (refusal.status === 401) reply.header("www-authenticate", 'Basic realm="sluice", charset="UTF-8"');
      await reply
        .code(refusal.status)
        .header("x-go-pprof", "1")
        .type("text/plain; charset=utf-8")
        .send(`${refusal.message}\n`);
    });
  }

  #hasToken(given: string | undefined): boolean {
    if (this.#digest === undefined || given === undefined) return false;
    return timingSafeEqual(this.#digest, digest(given));
  }

  #refuse({ headers }: Asking, why = ""): Refusal {
    const ways = [...(this.#digest === undefined ? [] : [GIVE_TOKEN]), ...(this.#mutualTls ? [GIVE_CERTIFICATE] : [])];
    const rule = `${why}this is served to its own host only`;
    if (ways.length === 0) return { status: 403, message: `${rule}: ${TUNNEL}, ${SETTINGS}` };
    const wrong = this.#digest !== undefined && headers.authorization !== undefined ? " (what was given is wrong)" : "";
    return {
      status: this.#digest !== undefined && isBrowser(headers) ? 401 : 403,
      message: `${rule}, and to others with credentials${wrong}: ${ways.join("; or ")}`,
    };
  }
}
