// What people write into the filter field, as the keywords that it means.

/**
 * The keywords in `text`, which commas separate. One that has a comma stands in quotes, as in `"3, found", error`; a quote in
 * quotes is doubled.
 */
export function parseKeywords(text) {
  const keywords = [];
  let rest = text;
  while (rest) {
    const [whole, quoted, plain] = rest.match(/^\s*"((?:[^"]|"")*)"\s*(?:,|$)|^([^,]*)(?:,|$)/);
    rest = rest.slice(whole.length);
    keywords.push(quoted === undefined ? plain.trim() : quoted.replaceAll('""', '"').trim());
  }
  return keywords.filter(Boolean);
}

/** The text that means `keywords`. */
export function formatKeywords(keywords) {
  const needsQuotes = (keyword) => keyword.includes(',') || keyword.startsWith('"');
  return keywords.map((keyword) => (needsQuotes(keyword) ? `"${keyword.replaceAll('"', '""')}"` : keyword)).join(', ');
}

/** `keywords` as values of the query: one that stands alone would be split at its commas, so an empty one is beside it. */
export function keywordValues(keywords) {
  return keywords.length === 1 && keywords[0].includes(',') ? [...keywords, ''] : keywords;
}
