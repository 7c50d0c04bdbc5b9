// Fastify and pg doing the gateway's work, as a good team would write it: tokens verified by fast-jwt (and remembered),
// prepared statements, the rules of `fastify_statements.js`, the news published on Redis after the commit.
"use strict";
const { createHash, createHmac, randomUUID, timingSafeEqual } = require("node:crypto");
const Fastify = require("fastify");
const Redis = require("ioredis");
const { createVerifier } = require("fast-jwt");
const { Pool } = require("pg");
const statements = require("./fastify_statements.js");

const QUOTA = 1_000_000;
const HOUR = 3600;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const CONTROL = /[\p{Cc}\p{Cs}]/u;
const STORAGE = "http://127.0.0.1/storage/v1/object/public/";
const MESSAGE = "AI image generation started. This may take 30-60 seconds.";

const verify = createVerifier({
  key: process.env.JWT_SECRET,
  algorithms: ["HS256"],
  allowedAud: "authenticated",
  requiredClaims: ["exp", "sub", "aud"],
  clockTolerance: 5000,
  cache: 20_000,
});
const secret = Buffer.from(process.env.CALLBACK_SECRET);
const pool = new Pool({ connectionString: process.env.DATABASE_URL, min: 10, max: 10 });
const redis = new Redis(Number(process.env.REDIS_PORT), "127.0.0.1", { enableAutoPipelining: true });
const app = Fastify({ logger: false });

class Refused extends Error {
  constructor(status, code, sentence) {
    super(sentence);
    this.statusCode = status;
    this.code = code;
  }
}

app.setErrorHandler((error, request, reply) => {
  reply.code(error.statusCode ?? 500).send({ error: error.message, code: error.code ?? "internal_error" });
});

function userOf(request) {
  const [scheme, token] = (request.headers.authorization ?? "").split(" ");
  try {
    if (scheme.toLowerCase() !== "bearer") throw new Error("no bearer token");
    const { sub } = verify(token);
    if (!UUID.test(sub)) throw new Error("no user");
    return sub;
  } catch {
    throw new Refused(401, "unauthorized", "Unauthorized");
  }
}

function bodyOf(row) {
  return {
    requestId: row.id,
    status: row.status,
    product: row.product,
    brand: row.brand,
    storageKey: row.storage_key,
    storageId: row.storage_id,
    publicUrl: row.status === "completed" ? STORAGE + encodeURI(row.storage_key) : null,
    errorMessage: row.error_message,
    createdAt: row.created_at,
    completedAt: row.completed_at,
    version: row.version,
    progress: row.progress,
    errorCode: row.error_code,
    updatedAt: row.updated_at,
    cost: row.cost,
  };
}

function announce(row) {
  const update = { request_id: row.id, user_id: row.user_id, version: row.version, body: bodyOf(row) };
  const message = JSON.stringify(update);
  redis.publish(`bench:user:${row.user_id}`, message);
  redis.publish("bench:all", message);
}

app.get("/api/ai-status/:id", async (request, reply) => {
  const user = userOf(request);
  const { id } = request.params;
  const row = UUID.test(id) && (await pool.query(statements.ownRequest(id, user))).rows[0];
  if (!row) throw new Refused(404, "unknown_request", "There is no such request.");
  const tag = `"v${row.version}"`;
  reply.headers({ ETag: tag, "Cache-Control": "private, no-cache" });
  return request.headers["if-none-match"] === tag ? reply.code(304).send() : bodyOf(row);
});

function textField(value) {
  const text = typeof value === "string" ? value.trim() : "";
  if (!text) throw new Refused(400, "product_and_brand_required", "Product and Brand are required");
  if (text.length > 200 || CONTROL.test(text)) throw new Refused(400, "invalid_field", "Not a name.");
  return text;
}

async function submit(user, product, brand, key) {
  const hash = key && createHash("sha256").update(JSON.stringify([product, brand, null])).digest("hex");
  const client = await pool.connect();
  try {
    await client.query(statements.beginLocked(user));
    const checks = (await client.query(statements.submissionChecks(user, QUOTA, key))).rows[0];
    const remaining = QUOTA - checks.taken;
    const reset = checks.oldest ? Math.ceil(HOUR - (checks.now - checks.oldest) / 1000) : HOUR;
    let row;
    if (checks.same_id) {
      if (checks.idempotency_hash !== hash) throw new Refused(422, "idempotency_conflict", "The key was used.");
      row = (await client.query(statements.request(checks.same_id))).rows[0];
    } else {
      const [organization, another] = checks.organizations;
      if (!organization) throw new Refused(400, "no_organization", "No organization found for user");
      if (another) throw new Refused(400, "organization_required", "Name an organization.");
      if (remaining <= 0) throw new Refused(429, "rate_limited", "Rate limit exceeded.");
      const values = [randomUUID(), user, organization, product, brand, key, hash, randomUUID()];
      row = (await client.query(statements.submit(...values))).rows[0];
    }
    await client.query("COMMIT");
    if (!checks.same_id) announce(row);
    return { row, remaining: remaining - 1, reset };
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  } finally {
    client.release();
  }
}

app.post("/api/ai-generate", async (request, reply) => {
  const user = userOf(request);
  const [product, brand] = [textField(request.body.Product), textField(request.body["Your Brand"])];
  const { row, remaining, reset } = await submit(user, product, brand, request.headers["idempotency-key"] ?? null);
  reply.code(202).headers({
    Location: `/api/ai-status/${row.id}`,
    "RateLimit-Policy": `"hour";q=${QUOTA};w=${HOUR}`,
    RateLimit: `"hour";r=${remaining};t=${reset}`,
  });
  return { requestId: row.id, status: "pending", message: MESSAGE };
});

function isGood(given, requestId) {
  const own = createHmac("sha256", secret).update(String(requestId).toLowerCase()).digest("base64url");
  return [secret, Buffer.from(own)].some((good) => given.length === good.length && timingSafeEqual(given, good));
}

async function outcomeOfNothing(id, key, storageId) {
  const row = (await pool.query(statements.request(id))).rows[0];
  if (!row) throw new Refused(404, "unknown_request", "There is no such request.");
  if (key && row.status === "completed" && (row.storage_key !== key || row.storage_id !== storageId)) {
    throw new Refused(409, "conflicting_completion", "It was completed with another Key or Id.");
  }
  return key ? { success: true, duplicate: true } : { success: true, ignored: true };
}

app.post("/api/ai-callback", async (request) => {
  const { requestId, status, progress, Key, Id } = request.body;
  const given = Buffer.from(request.headers["x-callback-secret"] ?? "");
  if (!isGood(given, requestId)) throw new Refused(401, "unauthorized", "Unauthorized");
  if (!UUID.test(requestId ?? "")) throw new Refused(404, "unknown_request", "There is no such request.");
  let statement;
  if (status === "processing") {
    statement = statements.progress(requestId, Number.isInteger(progress) ? progress : null);
  } else if (status === "completed" && Key && Id) {
    statement = statements.complete(requestId, Key, Id, STORAGE + encodeURI(Key));
  } else {
    throw new Refused(400, "unknown_status", "Not measured here.");
  }
  const row = (await pool.query(statement)).rows[0];
  if (!row) return outcomeOfNothing(requestId, Key, Id);
  announce(row);
  return { success: true };
});

app.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
