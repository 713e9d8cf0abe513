// Addresses in text as links, http and https only.

const ADDRESS = /\bhttps?:\/\/[^\s<>"'`{}|\\^\x00-\x20]{1,2000}/gi;
const PUNCTUATION = /[.,;:!?*_~]+$/;

/** The spans of a row, with those that are part of an address split off as links. Links that the row has stay. */
export function withLinks(spans) {
  if (!spans.some((span) => span.text.includes('://')) && !spans.map((span) => span.text).join('').includes('://')) return spans;
  const text = spans.map((span) => span.text).join('');
  const linked = [];
  const addresses = [...text.matchAll(ADDRESS)].map((match) => ({ from: match.index, address: trimmed(match[0]) }));
  let from = 0;
  for (const span of spans) {
    split(linked, span, from, addresses);
    from += span.text.length;
  }
  return linked;
}

/** An address without what a sentence puts behind it. */
function trimmed(address) {
  let end = address.replace(PUNCTUATION, '');
  while (/[)\]]$/.test(end) && isUnopened(end)) end = end.slice(0, -1).replace(PUNCTUATION, '');
  return end;
}

function isUnopened(text) {
  const open = text.endsWith(')') ? '(' : '[';
  return text.split(open).length <= text.slice(0, -1).split(text.at(-1)).length;
}

function split(linked, span, from, addresses) {
  let rest = span.text;
  let at = from;
  for (const { from: start, address } of span.link === null ? addresses : []) {
    const end = start + address.length;
    if (end <= at || start >= from + span.text.length) continue;
    if (start > at) {
      linked.push({ ...span, text: rest.slice(0, start - at) });
      rest = rest.slice(start - at);
      at = start;
    }
    const size = Math.min(rest.length, end - at);
    linked.push({ ...span, text: rest.slice(0, size), link: address });
    rest = rest.slice(size);
    at += size;
  }
  if (rest !== '') linked.push({ ...span, text: rest });
}
