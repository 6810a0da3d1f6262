// oidc-provider as an EMR's authorization server: client_credentials with private_key_jwt or a secret.
// node server.mjs CONFIG.json, with {port, clients, scopes, seconds}; says "listening" when it is up.
import { readFileSync } from "node:fs";
import { Provider } from "oidc-provider";

const { port, clients, scopes, seconds } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const issuer = `http://127.0.0.1:${port}`;
const algorithms = ["RS384", "ES384"]; // SMART's two, which the server's defaults lack
const defaults = {
  grant_types: ["client_credentials"],
  redirect_uris: [],
  response_types: [],
  scope: scopes.join(" "),
};

const provider = new Provider(issuer, {
  clients: clients.map((client) => ({ ...defaults, ...client })),
  clientAuthMethods: ["client_secret_basic", "client_secret_post", "private_key_jwt"],
  enabledJWA: { clientAuthSigningAlgValues: algorithms },
  // Its guard against addresses of the own machine would refuse our key set, which in a test lives there.
  fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    revocation: { enabled: true, allowedPolicy: () => true },
  },
  scopes: ["openid", ...scopes],
  ttl: { ClientCredentials: seconds },
});

provider.use(async (context, next) => {
  if (!context.path.endsWith("/.well-known/smart-configuration")) return next();
  context.body = {
    issuer,
    token_endpoint: `${issuer}/token`,
    grant_types_supported: ["client_credentials"],
    token_endpoint_auth_methods_supported: ["private_key_jwt"],
    token_endpoint_auth_signing_alg_values_supported: algorithms,
    capabilities: ["client-confidential-asymmetric", "permission-v2"],
  };
});
provider.on("server_error", (_context, error) => console.error(error));
provider.on("grant.error", (_context, error) => console.error(error.error, error.error_detail));
provider.listen(port, "127.0.0.1", () => console.log("listening"));
