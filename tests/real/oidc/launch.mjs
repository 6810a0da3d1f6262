// oidc-provider as the authorization server of an EMR that launches us: code, PKCE, id_token, refresh tokens.
// node launch.mjs CONFIG.json, with {port, client, scopes, user, patient}; says "listening" when it is up.
// Whoever comes is signed in already, as in a chart; SMART's `patient` is all that is added to its answers.
import { readFileSync } from "node:fs";
import { Provider } from "oidc-provider";

const { port, client, scopes, user, patient } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const defaults = {
  grant_types: ["authorization_code", "refresh_token"],
  response_types: ["code"],
  scope: scopes.join(" "),
};
const account = "nora";

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ ...defaults, ...client }],
  clientAuthMethods: ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"],
  enabledJWA: { clientAuthSigningAlgValues: ["RS384", "ES384"] },
  claims: { openid: ["sub"], fhirUser: ["fhirUser"] },
  conformIdTokenClaims: false, // SMART wants fhirUser in the id_token itself
  cookies: { keys: ["of-the-tests"] },
  features: { devInteractions: { enabled: false } },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, fhirUser: user }) }),
  interactions: { url: (_context, interaction) => `/signed-in/${interaction.uid}` },
  issueRefreshToken: () => true,
  rotateRefreshToken: true,
  scopes,
});

provider.use(async (context, next) => {
  if (context.path.startsWith("/signed-in/")) {
    const { params } = await provider.interactionDetails(context.req, context.res);
    const grant = new provider.Grant({ accountId: account, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    const result = { login: { accountId: account }, consent: { grantId: await grant.save() } };
    context.redirect(await provider.interactionResult(context.req, context.res, result));
    return;
  }
  await next();
  if (context.path === "/token" && context.body?.access_token) context.body.patient = patient;
});
provider.on("server_error", (_context, error) => console.error(error));
provider.on("grant.error", (_context, error) => console.error(error.error, error.error_detail));
provider.on("authorization.error", (_context, error) => console.error(error.error, error.error_detail));
provider.listen(port, "127.0.0.1", () => console.log("listening"));
