/**
 * Loaded into each test file's process: it ends without taking Node's environment apart. Node 26.10 destroys the HTTP/2 sessions that are
 * left when a process ends by itself, and breaks its heap in one of many such ends (Http2Session::~Http2Session in Environment::RunCleanup).
 * Nothing is hidden by it: a process that something keeps alive still does not end.
 */
// The listener comes last when it comes late: the runner's own have said by then what they have to say.
process.once("beforeExit", () => process.on("exit", () => process.exit()));
