// openid-client as an integrator's program: discovery, a token by private_key_jwt, one call with it.
// node client.mjs CONFIG.json, with {base, client_id, key, scope, path, header, claims}; the last two are
// laid over what it would sign by itself. One line of JSON: the token's words and the call's answer, or the
// refusal.
import { readFileSync } from "node:fs";
import * as openid from "openid-client";

const { base, client_id, key, scope, path, header, claims } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const kinds = { EC: { name: "ECDSA", namedCurve: "P-384" }, RSA: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-384" } };
const secret = await crypto.subtle.importKey("jwk", key.jwk, kinds[key.jwk.kty], false, ["sign"]);

const proof = openid.PrivateKeyJwt(
  { key: secret, kid: key.kid },
  {
    [openid.modifyAssertion]: (words, payload) => {
      Object.assign(words, header);
      Object.assign(payload, claims);
    },
  },
);

const said = await ask().catch((error) => ({ error: error.error ?? String(error), status: error.status }));
console.log(JSON.stringify(said));

async function ask() {
  const config = await openid.discovery(
    new URL(`${base}/.well-known/smart-configuration`),
    client_id,
    {},
    proof,
    { execute: [openid.allowInsecureRequests] }, // the test's service is on the loopback
  );
  const token = await openid.clientCredentialsGrant(config, { scope });
  const answer = await openid.fetchProtectedResource(config, token.access_token, new URL(`${base}${path}`), "GET");
  return { token, status: answer.status, body: await answer.json() };
}
