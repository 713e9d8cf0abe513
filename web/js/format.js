// Numbers, sizes and times as people read them.

const numbers = new Intl.NumberFormat('en');

/** 12345 becomes `12,345`. */
export function count(value) {
  return numbers.format(value ?? 0);
}

/** `1 line`, `2 lines`. */
export function plural(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`;
}

/** Bytes in binary units: `1.5 MiB`. */
export function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let size = value ?? 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** How long ago `time` (RFC 3339) was, seen from `nowMs`: `12 s ago`. Empty when unreadable. */
export function ago(time, nowMs) {
  const seconds = Math.round((nowMs - Date.parse(time)) / 1000);
  if (Number.isNaN(seconds)) return '';
  if (seconds < 2) return 'now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} d ago`;
}

/** The local time of day of an RFC 3339 time, with milliseconds; the text itself when unreadable. */
export function clock(time) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return String(time ?? '');
  const pad = (value, width = 2) => String(value).padStart(width, '0');
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}.${pad(date.getMilliseconds(), 3)}`;
}

/** The end of a long id, where ids of one family differ. */
export function shortId(id, characters = 18) {
  return id.length > characters ? `…${id.slice(1 - characters)}` : id;
}
