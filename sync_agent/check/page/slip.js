// Checks the text of a slip: the same rules, in the same order, as sync_agent/contract/{cose,slip}.py. No DOM, no network.
// Plain enough for the browsers inside older chat programs: no BigInt, no WebCrypto, no modules.
"use strict";

function Unproven(verdict) { this.verdict = verdict; }

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

// Order of the group, little-endian: a signature's second half is below it (RFC 8032, section 5.1.7); TweetNaCl does not look.
const ORDER = [0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10];

function not() { throw new Unproven("not-a-slip"); }

function hex(bytes) {
  return Array.prototype.map.call(bytes, function (byte) { return (byte < 16 ? "0" : "") + byte.toString(16); }).join("");
}

function unhex(text) {
  const bytes = new Uint8Array(text.length / 2);
  for (let at = 0; at < bytes.length; at++) bytes[at] = parseInt(text.substr(2 * at, 2), 16);
  return bytes;
}

function bytesOf(text) {
  if (text.length > KNOWN.maxChars) not();
  let body = text.slice(text.lastIndexOf("#") + 1).replace(/\s+/g, "").toUpperCase();
  if (body.indexOf("RZ1:") === 0) body = body.slice(4);
  const bytes = [];
  let bits = 0, held = 0;
  for (const letter of body) {
    const value = BASE32.indexOf(letter);
    if (value < 0) not();
    held = ((held << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8) { bits -= 8; bytes.push((held >> bits) & 0xff); }
  }
  // One way to write it: fewer than five bits are left over, and they are 0.
  if (bits >= 5 || (held & ((1 << bits) - 1))) not();
  return Uint8Array.from(bytes);
}

// --- CBOR, strictly (RFC 8949, section 4.2.3) --------------------------------------------------------------------------

function decode(data) {
  let at = 0;

  function head() {
    if (at >= data.length) not();
    const major = data[at] >> 5, short = data[at] & 31;
    at++;
    if (short < 24) return [major, short];
    if (short > 27) not();
    const size = 1 << (short - 24);
    if (at + size > data.length) not();
    let number = 0;
    for (let end = at + size; at < end; at++) number = number * 256 + data[at];
    if (number < (size === 1 ? 24 : Math.pow(2, 4 * size)) || number > Number.MAX_SAFE_INTEGER) not();
    return [major, number];
  }

  function value(depth) {
    if (depth === 0) not();
    const [major, number] = head();
    if (major === 0) return number;
    if (major === 1) return -1 - number;
    if (major === 2 || major === 3) {
      if (at + number > data.length) not();
      const part = data.slice(at, at + number);
      at += number;
      if (major === 2) return part;
      try { return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(part); } catch (err) { not(); }
    }
    if (major === 4) {
      const items = [];
      for (let n = 0; n < number; n++) items.push(value(depth - 1));
      return items;
    }
    if (major === 5) {
      const fields = new Map();
      let last = "";
      for (let n = 0; n < number; n++) {
        const begin = at, key = value(depth - 1), here = hex(data.slice(begin, at));
        if (typeof key !== "number" || !(here.length > last.length || (here.length === last.length && here > last))) not();
        last = here;
        fields.set(key, value(depth - 1));
      }
      return fields;
    }
    return not();
  }

  const result = value(4);
  if (at !== data.length) not();
  return result;
}

function join(parts) {
  const whole = new Uint8Array(parts.reduce(function (sum, part) { return sum + part.length; }, 0));
  let at = 0;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return whole;
}

function encoded(major, bytes) {
  const size = bytes.length;
  const head = size < 24 ? [major << 5 | size] : size < 256 ? [major << 5 | 24, size] : [major << 5 | 25, size >> 8, size & 255];
  return join([head, bytes]);
}

function ascii(text) { return Uint8Array.from(text, function (letter) { return letter.charCodeAt(0); }); }

// --- COSE_Sign1 (RFC 9052) ----------------------------------------------------------------------------------------------

function isBytes(value, size) { return value instanceof Uint8Array && (size === undefined || value.length === size); }
function isMap(value, size) { return value instanceof Map && value.size === size; }

function sign1(bytes) {
  const parts = decode(bytes);
  if (!Array.isArray(parts) || parts.length !== 4) not();
  const [protectedHeader, unprotected, payload, signature] = parts;
  if (!isBytes(protectedHeader) || !isMap(unprotected, 0) || !isBytes(payload) || !isBytes(signature, 64)) not();
  const header = decode(protectedHeader);
  if (!isMap(header, 2) || header.get(1) !== -19) not();
  return { header: header, protectedHeader: protectedHeader, payload: payload, signature: signature };
}

function isBelowOrder(number) {
  for (let at = 31; at >= 0; at--) if (number[at] !== ORDER[at]) return number[at] < ORDER[at];
  return false;
}

function verify(message, key, purpose) {
  const signed = join([[0x84], encoded(3, ascii("Signature1")), encoded(2, message.protectedHeader),
    encoded(2, ascii(purpose)), encoded(2, message.payload)]);
  if (!isBelowOrder(message.signature.slice(32)) || !nacl.sign.detached.verify(signed, message.signature, key)) {
    throw new Unproven("forged");
  }
}

// --- the slip -------------------------------------------------------------------------------------------------------------

function isTime(value) { return typeof value === "number" && value >= 0 && value < Math.pow(2, 32); }

function claims(payload) {
  const said = decode(payload);
  if (!isMap(said, 5)) not();
  const device = said.get(2), until = said.get(4), since = said.get(5), proof = said.get(8), site = said.get(-65537);
  if (typeof device !== "string" || !/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(device)) not();
  if (typeof site !== "string" || Array.from(site).length > 64 || !isTime(since) || !isTime(until) || !isMap(proof, 1)) not();
  const key = proof.get(1);
  if (!isMap(key, 3) || key.get(1) !== 1 || key.get(-1) !== 6 || !isBytes(key.get(-2), 32)) not();
  return { device: device, site: site, since: since, until: until, key: key.get(-2) };
}

function entry(payload) {
  const said = decode(payload);
  if (!(said instanceof Map) || typeof said.get(1) !== "number") not();
  if (said.get(1) > 1) throw new Unproven("too-new");
  const numbers = [4, 5, 6].map(function (name) { return said.get(name); });
  if (said.size !== 6 || said.get(1) !== 1 || !isBytes(said.get(2), 16)) not();
  if (!numbers.every(function (number) { return typeof number === "number"; }) || typeof said.get(3) !== "number") not();
  const found = [KNOWN.kinds, KNOWN.outcomes, KNOWN.standings].map(function (names, at) { return names[numbers[at]]; });
  if (found.indexOf(undefined) >= 0) throw new Unproven("too-new");
  if (!isTime(said.get(3))) not();
  const id = hex(said.get(2));
  const record = [id.slice(0, 8), id.slice(8, 12), id.slice(12, 16), id.slice(16, 20), id.slice(20)].join("-");
  return { record: record, at: said.get(3), kind: found[0], outcome: found[1], standing: found[2] };
}

// Returns {verdict: "good", slip: {...}} or {verdict: why it proves nothing}. nowS: seconds since 1970.
function checkSlip(text, nowS) {
  try {
    const slip = sign1(bytesOf(text));
    if (!isBytes(slip.header.get(13))) not();
    const attestation = sign1(slip.header.get(13));
    if (!isBytes(attestation.header.get(4))) not();
    const issuer = KNOWN.keys[hex(attestation.header.get(4))];
    if (issuer === undefined) throw new Unproven("unknown-key");
    verify(attestation, unhex(issuer), "rz-attestation-1");
    const claimed = claims(attestation.payload);
    verify(slip, claimed.key, "rz-slip-1");
    const said = entry(slip.payload);
    if (said.at < claimed.since || said.at > claimed.until || said.at > nowS + KNOWN.aheadS) throw new Unproven("out-of-time");
    said.device = claimed.device;
    said.site = claimed.site;
    return { verdict: "good", slip: said };
  } catch (why) {
    if (!(why instanceof Unproven)) throw why;
    return { verdict: why.verdict };
  }
}
