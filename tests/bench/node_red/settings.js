// Settings of the peer: no editor, no pages, logs of warnings only. What the flow needs from outside comes from the environment.
const crypto = require("node:crypto");
const fs = require("node:fs");
const { Pool } = require("pg");

const registered = JSON.parse(fs.readFileSync(process.env.PEER_KEYS, "utf8"));

module.exports = {
    uiHost: "127.0.0.1",
    uiPort: Number(process.env.PEER_PORT),
    httpAdminRoot: false,
    httpNodeRoot: false,
    flowFile: "flow.json",
    credentialSecret: false,
    editorTheme: { tours: false },
    logging: { console: { level: "info", metrics: false, audit: false } },
    functionGlobalContext: {
        crypto,
        keys: new Map(registered.map(({ kid, device, jwk }) => [kid, { device, key: crypto.createPublicKey({ key: jwk, format: "jwk" }) }])),
        pool: new Pool({ connectionString: process.env.PEER_DATABASE, max: 10 }),
    },
};
