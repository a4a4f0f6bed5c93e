/**
 * What rsyslog (8.x, RainerScript) is told: one file a pod, with an input for its containers' logs and a ruleset that sends them on.
 * Topics carry the tenant before them, so that none writes into another's. Nothing of a user's gets in unchecked.
 */
export const TOPIC = "capstan.dev/log-topic";

export interface LoggedPod {
  metadata: { name?: string; namespace?: string; uid?: string; annotations?: Record<string, string> };
}

export interface CollectorSettings {
  /** HOST:PORT; none: files. */
  brokers: readonly string[];
  /** Of those files. */
  directory: string;
  /** Where pods' logs are: a path, in which a star stands for the node. */
  podLogs: string;
  /** Of the collector's own. */
  state: string;
}

const TOPIC_SHAPE = /^[A-Za-z0-9._-]{1,200}$/;

/** The pod's topic; undefined: it asks for none, or for one that cannot be. */
export function topicOf({ metadata }: LoggedPod): string | undefined {
  const topic = metadata.annotations?.[TOPIC];
  return topic !== undefined && TOPIC_SHAPE.test(topic) ? topic : undefined;
}

/** RainerScript's string constants: quotes and backslashes are escaped; dollars and percents are signs like any in them. */
const quoted = (text: string): string => `"${text.replace(/[\\"]/g, "\\$&").replace(/[\r\n]/g, " ")}"`;

/** Name of a pod's file: names of tenants, namespaces and pods have no underscore. */
export const fileOf = (tenant: string, namespace: string, name: string): string =>
  `pods/${tenant}_${namespace}_${name}.conf`;

export function podConfiguration(tenant: string, pod: LoggedPod, topic: string, settings: CollectorSettings): string {
  const { namespace = "", name = "", uid = "" } = pod.metadata;
  const id = `${tenant}_${namespace}_${name}`;
  const full = `${tenant}.${topic}`;
  const action =
    settings.brokers.length > 0
      ? `action(type="omkafka" broker=[${settings.brokers.map(quoted).join(",")}] topic=${quoted(full)} template="capstan")`
      : `action(type="omfile" file=${quoted(`${settings.directory}/${full}.log`)} template="capstan")`;
  return [
    `ruleset(name=${quoted(id)}) { ${action} }`,
    `input(type="imfile" file=${quoted(`${settings.podLogs}/${id}_${uid}/*/*.log`)} tag=${quoted(id)}`,
    `      ruleset=${quoted(id)} addMetadata="on")`,
    "",
  ].join("\n");
}

export const baseConfiguration = ({ brokers, state }: CollectorSettings): string =>
  [
    `global(workDirectory=${quoted(state)})`,
    'module(load="imfile" mode="inotify")',
    ...(brokers.length > 0 ? ['module(load="omkafka")'] : []),
    // The message is a line of CRI's log format: TIME STREAM TAG TEXT.
    'template(name="capstan" type="list") {',
    '  constant(value="{\\"pod\\":\\"") property(name="syslogtag" format="json")',
    '  constant(value="\\",\\"file\\":\\"") property(name="$!metadata!filename" format="json")',
    '  constant(value="\\",\\"line\\":\\"") property(name="msg" format="json") constant(value="\\"}\\n")',
    "}",
    `include(file=${quoted(`${state}/pods/*.conf`)} mode="optional")`,
    "",
  ].join("\n");
