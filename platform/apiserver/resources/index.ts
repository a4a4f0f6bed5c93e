/** The one list of kinds with rules of their own. Every other kind of the facts is served by the generic strategy. */
import type { ResourceFacts } from "#sdk/api/schema.ts";
import type { SigningKey } from "../authn/jwt.ts";
import type { TokenReviewer } from "../authn/serviceAccounts.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import type { Rbac } from "../authz/rbac.ts";
import { groupResource } from "../registry/catalog.ts";
import type { Strategy } from "../registry/strategy.ts";
import { daemonSetStrategy } from "./apps/daemonsets/strategy.ts";
import { deploymentStrategy } from "./apps/deployments/strategy.ts";
import { replicaSetStrategy } from "./apps/replicasets/strategy.ts";
import { statefulSetStrategy } from "./apps/statefulsets/strategy.ts";
import * as reviews from "./authorization/reviews.ts";
import { cronJobStrategy, jobStrategy } from "./batch/strategies.ts";
import { type TenantMaker, tenantStrategy } from "./capstan/tenants/strategy.ts";
import { leaseStrategy } from "./coordination/leases.ts";
import { bindingsStrategy } from "./core/bindings/strategy.ts";
import { configMapStrategy } from "./core/configmaps/strategy.ts";
import { endpointsStrategy } from "./core/endpoints/strategy.ts";
import { eventStrategy } from "./core/events/strategy.ts";
import { limitRangeStrategy } from "./core/limitranges/strategy.ts";
import { namespaceStrategy } from "./core/namespaces/strategy.ts";
import { nodeStrategy } from "./core/nodes/strategy.ts";
import { podStrategy } from "./core/pods/strategy.ts";
import { secretStrategy } from "./core/secrets/strategy.ts";
import { serviceAccountStrategy } from "./core/serviceaccounts/strategy.ts";
import { serviceStrategy } from "./core/services/strategy.ts";
import { endpointSliceStrategy } from "./discovery/endpointSlices.ts";
import { plainStrategy } from "./plain.ts";
import { bindingStrategy, roleStrategy } from "./rbac/strategies.ts";
import { priorityClassStrategy } from "./scheduling/priorityclasses/strategy.ts";

export interface ResourceConfig {
  serviceCIDR: string;
  tokenKey: SigningKey;
  tokens: TokenReviewer;
  rbac: Rbac;
  authorizer: Authorizer;
  tenants: TenantMaker;
}

type StrategyMaker = (facts: ResourceFacts) => Strategy;

function makers(c: ResourceConfig): Record<string, StrategyMaker> {
  return {
    bindings: bindingsStrategy,
    configmaps: configMapStrategy,
    endpoints: endpointsStrategy,
    events: eventStrategy,
    limitranges: limitRangeStrategy,
    "events.events.k8s.io": eventStrategy,
    namespaces: namespaceStrategy,
    nodes: nodeStrategy,
    pods: podStrategy,
    secrets: secretStrategy,
    serviceaccounts: serviceAccountStrategy(c.tokenKey),
    services: serviceStrategy(c.serviceCIDR),
    "daemonsets.apps": daemonSetStrategy,
    "deployments.apps": deploymentStrategy,
    "replicasets.apps": replicaSetStrategy,
    "statefulsets.apps": statefulSetStrategy,
    "selfsubjectreviews.authentication.k8s.io": reviews.selfSubjectReview,
    "tokenreviews.authentication.k8s.io": reviews.tokenReview(c.tokens),
    "localsubjectaccessreviews.authorization.k8s.io": reviews.subjectAccessReview(c.authorizer, true),
    "selfsubjectaccessreviews.authorization.k8s.io": reviews.selfSubjectAccessReview(c.authorizer),
    "selfsubjectrulesreviews.authorization.k8s.io": reviews.selfSubjectRulesReview(c.rbac),
    "subjectaccessreviews.authorization.k8s.io": reviews.subjectAccessReview(c.authorizer, false),
    "cronjobs.batch": cronJobStrategy,
    "jobs.batch": jobStrategy,
    "tenants.capstan.dev": tenantStrategy(c.tenants),
    "endpointslices.discovery.k8s.io": endpointSliceStrategy,
    "leases.coordination.k8s.io": leaseStrategy,
    "clusterrolebindings.rbac.authorization.k8s.io": bindingStrategy(c),
    "clusterroles.rbac.authorization.k8s.io": roleStrategy(c),
    "rolebindings.rbac.authorization.k8s.io": bindingStrategy(c),
    "roles.rbac.authorization.k8s.io": roleStrategy(c),
    "priorityclasses.scheduling.k8s.io": priorityClassStrategy,
  };
}

export function strategies(config: ResourceConfig): (facts: ResourceFacts) => Strategy {
  const own = makers(config);
  return (facts) => (own[groupResource(facts.group, facts.resource)] ?? plainStrategy)(facts);
}
