// Bugs put into the server while it is loaded, to see that the fuzzer bites: a run over its first cases has to find each of them.

import type { Mutation } from "../../simulation/mutations.ts";

const BODIES = "src/http2/bodies.ts";
const SENDER = "src/http2/sender.ts";
const STREAM = "src/http2/stream.ts";
const READER = "src/http2/frame-reader.ts";
const OUTPUT = "src/http2/output.ts";
const MESSAGES = "src/grpc/native/message-reader.ts";

const bug = (file: string, what: string, old: string, changed: string): Mutation => ({
  what,
  edits: [{ file, old, new: changed }],
});

export const BUGS: Readonly<Record<string, Mutation>> = {
  "keep-padding": bug(
    READER,
    "padding is passed on as body",
    "const bodyLeft = this.#left - this.#padding;",
    "const bodyLeft = this.#left;",
  ),
  "forget-the-mask": bug(
    "src/http2/frame.ts",
    "the reserved bit is taken for a part of the stream's number",
    "return readUint32(bytes, at) & INT31_MAX;",
    "return readUint32(bytes, at);",
  ),
  "keep-the-connections-credit": bug(
    BODIES,
    "credit is not given back to the connection",
    "    this.#window.give(bytes);\n",
    "",
  ),
  "keep-the-credit-of-the-dead": bug(
    BODIES,
    "bytes for streams that are closed are not given back",
    "if (stream === undefined || stream.closed) this.credit(undefined, end - start);",
    "if (stream === undefined || stream.closed) return;",
  ),
  "keep-the-credit-of-padding": bug(
    BODIES,
    "padding is not given back",
    "      this.credit(alive ? stream : undefined, overhead);\n",
    "",
  ),
  "keep-a-streams-credit": bug(
    BODIES,
    "credit is not given back to a stream",
    "      stream.unannounced += bytes;\n",
    "",
  ),
  "overrun-a-streams-window": bug(
    STREAM,
    "a small answer does not ask for its stream's window",
    "if (now && length <= this.sendWindow && length <= sender.sendWindow) {",
    "if (now && length <= sender.sendWindow) {",
  ),
  "overrun-when-pumping": bug(
    STREAM,
    "what waited does not ask for its stream's window",
    "const room = Math.min(FRAME_BYTES_MAX, this.sendWindow, sender.sendWindow);",
    "const room = Math.min(FRAME_BYTES_MAX, sender.sendWindow);",
  ),
  "forget-the-waiting": bug(
    SENDER,
    "a stream whose window has opened is not taken up again",
    "    stream.sendWindow += increment;\n    if (stream.unsentBytes === 0) return;\n    this.#queue.unblock(stream);\n",
    "    stream.sendWindow += increment;\n    if (stream.unsentBytes === 0) return;\n",
  ),
  "keep-old-windows": bug(
    SENDER,
    "settings change no window of a stream that is open",
    "      stream.sendWindow += difference;\n      this.#queue.unblock(stream);\n",
    "",
  ),
  "give-pages-early": bug(
    OUTPUT,
    "a page is used again while the socket has it",
    "if (done) this.drained();",
    "this.drained();",
  ),
  "leak-pages": bug(
    OUTPUT,
    "pages of a connection that is gone are not given back",
    "    this.#releaseAll(this.#full);\n    this.drained();\n",
    "    this.#full = [];\n",
  ),
  "leak-a-message": bug(
    MESSAGES,
    "the buffer of half a message is not given back when its call ends",
    "      if (buffer !== undefined) buffers.release(buffer);\n",
    "",
  ),
  "deliver-to-the-dead": bug(
    MESSAGES,
    "a message that was inflated is delivered though its call is over",
    "    this.#inflating = undefined;\n    if (this.#over) return;\n",
    "    this.#inflating = undefined;\n",
  ),
  "overtake-the-held": bug(
    MESSAGES,
    "what comes while a call is paused overtakes what it holds",
    "return this.#isStopped() || this.#held !== undefined || this.#inflated !== undefined;",
    "return this.#isStopped();",
  ),
  "mix-streams": bug(
    BODIES,
    "bytes for a stream that is closed go to the newest one",
    "    this.#window.take(length);\n    const stream = this.#streams.open.get(id);\n",
    "    this.#window.take(length);\n    const stream = this.#streams.open.get(id) ?? this.#streams.open.get(this.#streams.lastId);\n",
  ),
  "mix-messages": bug(
    "src/grpc/native/partial-message.ts",
    "a message that comes in pieces is put together at its beginning",
    "buffer.copy(this.#buffer!, this.#bodyBytes, start, start + taken);",
    "buffer.copy(this.#buffer!, 0, start, start + taken);",
  ),
  "keep-a-stale-block": bug(
    "src/http2/hpack/decoder.ts",
    "a header block is looked up though the dynamic table has changed",
    "    if (tableChanges) this.#cache.clear();\n",
    "",
  ),
  "end-early": bug(
    MESSAGES,
    "a request that ends inside a message is a whole one",
    "    if (this.#partial !== undefined) this.refuse(CUT_MESSAGE);\n    else if",
    "    if",
  ),
  "forget-the-block": bug(
    "src/http2/frames.ts",
    "frames are let into a header block",
    "if (incompleteId !== 0 && (type !== FrameType.CONTINUATION || id !== incompleteId)) {",
    "if (incompleteId !== 0 && type === FrameType.DATA) {",
  ),
};
