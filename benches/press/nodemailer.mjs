// nodemailer's pool: so many personal mails of one size. node nodemailer.mjs PORT CONNECTIONS MAILS OCTETS [KEY.pem]
import { readFileSync } from "node:fs";
import nodemailer from "nodemailer";

const [port, connections, mails, octets] = process.argv.slice(2, 6).map(Number);
const key = process.argv[6];
const transport = nodemailer.createTransport({
  host: "127.0.0.1", port, secure: false, ignoreTLS: true,
  pool: true, maxConnections: connections, maxMessages: Infinity,
  ...(key && { dkim: { domainName: "bench.example", keySelector: "bench", privateKey: readFileSync(key, "utf8") } }),
});
const words = Array.from({ length: Math.max(1, Math.floor(octets / 14) - 100) }, (_, n) => `word${n % 97}`).join(" ");
const one = (n) => transport.sendMail({
  from: "The Bench <news@bench.example>",
  to: `reader${n}@example.net`,
  subject: "A piece",
  text: `Dear reader ${n},\n\n${words}\n\nhttps://news.bench.example/unsubscribe/${n}`,
  html: `<p>Dear reader ${n},</p>\n<p>${words}</p>\n<p><a href="https://news.bench.example/unsubscribe/${n}">Leave</a></p>`,
  list: { unsubscribe: `https://news.bench.example/unsubscribe/${n}` },
});
await Promise.all(Array.from({ length: connections }, (_, n) => one(n)));
const start = performance.now();
let next = 0;
const worker = async () => { while (next < mails) await one(next++); };
await Promise.all(Array.from({ length: connections * 4 }, worker));
console.log((mails / (performance.now() - start)) * 1000);
transport.close();
