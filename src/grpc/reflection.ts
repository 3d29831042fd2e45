// Server reflection, v1 and v1alpha, so that grpcurl and its like need no proto files.
//
// The two versions have the same messages under other names, equal on the wire, so one handler serves both.

import { create, type DescFile, type DescService, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code } from "../errors.ts";
import {
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from "../gen/grpc/reflection/v1/reflection_pb.js";
import type { CallHandler, Method, ServerCall } from "./server.ts";
import { OK } from "./status.ts";

type Answer = ServerReflectionResponse["messageResponse"];

export class Reflection {
  readonly methods: readonly Method[];
  readonly #services: readonly DescService[];
  readonly #files = new Map<string, DescFile>();
  /** The file that declares a message, enum, service, method or field, by full name. */
  readonly #symbols = new Map<string, DescFile>();

  /**
   * @param services those that are listed; what they need is found from them.
   * @param files with what travels in an Any, which no import leads to: the details of errors.
   */
  constructor(services: readonly DescService[], files: readonly DescFile[] = []) {
    this.#services = services;
    for (const file of [...services.map(({ file }) => file), ...files]) this.#addFile(file);
    this.methods = ["v1", "v1alpha"].map((version) => ({
      path: `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
      requestStream: true,
      responseStream: true,
      open: (call) => new ReflectionCall(call, (request) => this.#answer(request)),
    }));
  }

  #addFile(file: DescFile): void {
    if (this.#files.has(file.proto.name)) return;
    this.#files.set(file.proto.name, file);
    for (const dependency of file.dependencies) this.#addFile(dependency);
    const addMessages = (messages: DescFile["messages"]): void => {
      for (const message of messages) {
        this.#symbols.set(message.typeName, file);
        for (const field of message.fields) this.#symbols.set(`${message.typeName}.${field.name}`, file);
        for (const nested of message.nestedEnums) this.#symbols.set(nested.typeName, file);
        addMessages(message.nestedMessages);
      }
    };
    addMessages(file.messages);
    for (const declared of file.enums) this.#symbols.set(declared.typeName, file);
    for (const service of file.services) {
      this.#symbols.set(service.typeName, file);
      for (const method of service.methods) this.#symbols.set(`${service.typeName}.${method.name}`, file);
    }
  }

  #answer(request: ServerReflectionRequest): Answer {
    const asked = request.messageRequest;
    switch (asked.case) {
      case "listServices": {
        const service = this.#services.map(({ typeName }) => ({ name: typeName }));
        return create(ServerReflectionResponseSchema, {
          messageResponse: { case: "listServicesResponse", value: { service } },
        }).messageResponse;
      }
      case "fileByFilename":
        return this.#descriptors(this.#files.get(asked.value), `file ${asked.value}`);
      case "fileContainingSymbol":
        return this.#descriptors(this.#symbols.get(asked.value), `symbol ${asked.value}`);
      case "fileContainingExtension":
      case "allExtensionNumbersOfType":
        return failure(Code.NOT_FOUND, "there are no extensions here");
      case undefined:
        return failure(Code.INVALID_ARGUMENT, "the request asks nothing");
    }
  }

  /** The file and everything it imports, as grpcurl expects it. */
  #descriptors(file: DescFile | undefined, asked: string): Answer {
    if (file === undefined) return failure(Code.NOT_FOUND, `${asked} is not known here`);
    const all = new Set<DescFile>();
    const add = (each: DescFile): void => {
      if (all.has(each)) return;
      all.add(each);
      each.dependencies.forEach(add);
    };
    add(file);
    const fileDescriptorProto = [...all].map((each) => toBinary(FileDescriptorProtoSchema, each.proto));
    return create(ServerReflectionResponseSchema, {
      messageResponse: { case: "fileDescriptorResponse", value: { fileDescriptorProto } },
    }).messageResponse;
  }
}

function failure(errorCode: Code, errorMessage: string): Answer {
  return create(ServerReflectionResponseSchema, {
    messageResponse: { case: "errorResponse", value: { errorCode, errorMessage } },
  }).messageResponse;
}

class ReflectionCall implements CallHandler {
  readonly #call: ServerCall;
  readonly #answer: (request: ServerReflectionRequest) => Answer;

  constructor(call: ServerCall, answer: (request: ServerReflectionRequest) => Answer) {
    this.#call = call;
    this.#answer = answer;
  }

  message(buffer: Buffer, start: number, end: number): void {
    const bytes = buffer.subarray(start, end);
    let request: ServerReflectionRequest;
    try {
      request = fromBinary(ServerReflectionRequestSchema, bytes);
    } catch (thrown) {
      this.#call.end({ code: Code.INVALID_ARGUMENT, message: `not a ServerReflectionRequest: ${String(thrown)}` });
      return;
    }
    const response = create(ServerReflectionResponseSchema, {
      validHost: request.host,
      originalRequest: request,
      messageResponse: this.#answer(request),
    });
    this.#call.send(toBinary(ServerReflectionResponseSchema, response));
  }

  halfClose(): void {
    this.#call.end(OK);
  }

  drained(): void {}

  cancelled(): void {}
}
