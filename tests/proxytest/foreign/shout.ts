// Turns request bodies into capitals; written with an AssemblyScript SDK of ABI 0.2.1.
export * from "@gcoredev/proxy-wasm-sdk-as/assembly/proxy";
import {
  BufferTypeValues, Context, FilterDataStatusValues, FilterHeadersStatusValues, RootContext,
  get_buffer_bytes, log, LogLevelValues, registerRootContext, set_buffer_bytes, stream_context,
} from "@gcoredev/proxy-wasm-sdk-as/assembly";

class ShoutRoot extends RootContext {
  createContext(context_id: u32): Context {
    return new Shout(context_id, this);
  }
}

class Shout extends Context {
  onRequestHeaders(headers: u32, end_of_stream: bool): FilterHeadersStatusValues {
    stream_context.headers.request.remove("content-length");
    return end_of_stream ? FilterHeadersStatusValues.Continue : FilterHeadersStatusValues.StopIteration;
  }
  onRequestBody(size: usize, end_of_stream: bool): FilterDataStatusValues {
    if (!end_of_stream) return FilterDataStatusValues.StopIterationAndBuffer;
    const body = String.UTF8.decode(get_buffer_bytes(BufferTypeValues.HttpRequestBody, 0, size as u32));
    set_buffer_bytes(BufferTypeValues.HttpRequestBody, 0, size as u32, String.UTF8.encode(body.toUpperCase()));
    stream_context.headers.request.add("x-shouted", body.length.toString());
    log(LogLevelValues.info, "shouted");
    return FilterDataStatusValues.Continue;
  }
}

registerRootContext((context_id: u32) => new ShoutRoot(context_id), "shout");
