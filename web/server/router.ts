/** The console's whole API, of which the browser sees only the type. */
import { router } from "./context.ts";
import { logsRouter } from "./logs/router.ts";
import { panelsRouter } from "./panels/router.ts";
import { resourcesRouter } from "./resources/router.ts";
import { sessionRouter } from "./session/router.ts";

export const appRouter = router({
  session: sessionRouter,
  resources: resourcesRouter,
  logs: logsRouter,
  panels: panelsRouter,
});

export type AppRouter = typeof appRouter;
