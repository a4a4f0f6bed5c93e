/**
 * pods/log, exec, attach and portforward: what the http layer hands over after authentication, authorization
 * (verbs as upstream: get or create on the subresource) and reading the pod. `createStreaming` is in streaming.ts.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Http2ServerResponse } from "node:http2";
import type { Duplex } from "node:stream";
import type { KubeObject } from "#sdk/api/object.ts";

export interface PodForStreaming extends KubeObject {
  spec: {
    nodeName?: string;
    containers: { name: string }[];
    initContainers?: { name: string }[];
    ephemeralContainers?: { name: string }[];
  };
  status?: { phase?: string };
}

/** Where the pod's node agent listens: from node.status.addresses (InternalIP) and daemonEndpoints.kubeletEndpoint.Port. */
export interface NodeAddress {
  host: string;
  port: number;
}

export type StreamingSubresource = "exec" | "attach" | "portforward";

export interface StreamingTarget {
  tenant: string;
  pod: PodForStreaming;
  /** The request's query as the client sent it (container, command, stdin, stdout, stderr, tty, ports, follow …). */
  query: URLSearchParams;
  /** Undefined when the pod has no node yet, or the node has no address. */
  node: NodeAddress | undefined;
}

export interface Streaming {
  /**
   * Answers an upgrade request (WebSocket v5/v4.channel.k8s.io, SPDY/3.1, or SPDY/3.1+portforward.k8s.io in a WebSocket).
   * Throws StatusError before anything was written to the socket (the caller writes it as the response); later failures go
   * down the stream's own error channel. Resolves when the stream is over; the socket is closed by then.
   */
  handleUpgrade(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    subresource: StreamingSubresource,
    target: StreamingTarget,
  ): Promise<void>;
  /** GET pods/NAME/log: validates PodLogOptions, then copies the node's answer; ends when the client goes. */
  proxyLog(target: StreamingTarget, response: ServerResponse | Http2ServerResponse): Promise<void>;
}

/** PEM texts: the client certificate a node agent accepts (CN kube-apiserver-kubelet-client) and the authority of its serving one. */
export interface NodeCredentials {
  ca: string;
  cert: string;
  key: string;
}
