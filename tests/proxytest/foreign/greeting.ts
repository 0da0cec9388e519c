// Adds a response header; written with an AssemblyScript SDK of ABI 0.2.0.
export * from "@solo-io/proxy-runtime/proxy";
import { RootContext, Context, registerRootContext, FilterHeadersStatusValues, stream_context } from "@solo-io/proxy-runtime";

class GreetingRoot extends RootContext {
  createContext(context_id: u32): Context {
    return new Greeting(context_id, this);
  }
}

class Greeting extends Context {
  constructor(context_id: u32, root_context: GreetingRoot) {
    super(context_id, root_context);
  }
  onResponseHeaders(a: u32, end_of_stream: bool): FilterHeadersStatusValues {
    const configuration = this.root_context.getConfiguration();
    stream_context.headers.response.add("hello", configuration == "" ? "world" : configuration);
    return FilterHeadersStatusValues.Continue;
  }
}

registerRootContext((context_id: u32) => { return new GreetingRoot(context_id); }, "greeting");
