// Values into XML: attributes and text alike, white space too, which a reader would turn into blanks.

const ENTITIES = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  "\t": "&#9;",
  "\n": "&#10;",
  "\r": "&#13;",
};
// XML 1.0 section 2.2.
const FORBIDDEN = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u;

export function escapeXml(value) {
  if (value === undefined || value === null) throw new Error("undefined name");
  if (typeof value !== "string") return String(value);
  if (FORBIDDEN.test(value)) throw new Error("a character that XML 1.0 forbids");
  return value.replace(/[&<>"'\t\n\r]/g, (character) => ENTITIES[character]);
}
