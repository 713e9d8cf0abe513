// Spans: consecutive characters of one style and one link, `{text, style, link}`.

import { isSameStyle } from './style.js';

/** Adds `text`, which has no tab, or is one. A tab draws nothing, so it has no style. */
export function pushText(spans, text, style, link) {
  const isTab = text === '\t';
  const look = isTab ? null : style;
  const last = spans.at(-1);
  if (last && last.link === link && isSameStyle(last.style, look)) last.text += text;
  else spans.push({ text, style: look, link });
}

/** Adds `text`, which may have tabs. */
export function pushTabbedText(spans, text, style, link) {
  if (style === null || !text.includes('\t')) return pushText(spans, text, style, link);
  for (const piece of text.split(/(\t)/)) {
    if (piece !== '') pushText(spans, piece, style, link);
  }
}
