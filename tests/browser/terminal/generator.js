// Messages as programs write them and as they should not, made from a seed.

import { randomOf } from './support.js';

const WORDS = ['ok', 'error', '漢字', 'e\u0301', ' ', '  ', 'Compiling', '100%', '[===>  ]', 'ü', '✓', 'a'];
const STYLES = ['0', '', '1', '2', '3', '4', '7', '9', '22', '23', '24', '27', '29', '31', '42', '97', '100', '39', '49', '1;32',
  '38;5;208', '48;5;17', '38;2;1;2;3', '48;2;200;100;50', '38:2::9:8:7', '38:5:99', '4:3', '4:0', '21', '58;5;1', '0;1;4', '999', '53'];
const SWALLOWED = ['\x1b]0;title\x07', '\x1b]8;;https://example.org\x1b\\', '\x1b]8;;\x1b\\', '\x1bP1$qm\x1b\\', '\x1b_x\x1b\\', '\x1b[?25l',
  '\x1b[?2004h', '\x1b[>4;2m', '\x1b[6n', '\x1b(B', '\x1b=', '\x00', '\x07', '\x7f', '\x1b[2 q', '\x1b[c'];
const RARE = ['\x1b[2J', '\x1b[H', '\x1b[3;1H', '\x1b[1J', '\x1b8', '\x1b[u'];

function token(random) {
  const number = () => random.oneOf(['', '0', '1', '2', '3', '5', '9', '20']);
  const csi = (finals) => `\x1b[${number()}${random.oneOf([...finals])}`;
  switch (random.below(20)) {
    case 0: case 1: case 2: case 3: case 4: case 5: return random.oneOf(WORDS);
    case 6: case 7: case 8: return `\x1b[${random.oneOf(STYLES)}m`;
    case 9: return '\r';
    case 10: return '\b'.repeat(1 + random.below(3));
    case 11: return '\t';
    case 12: return random.oneOf(['\n', '\r\n', '\x0b', '\x1bE', '\x1bD']);
    case 13: return `\x1b[${random.oneOf(['', '0', '1', '2', '?'])}K`;
    case 14: return csi('CDGa`');
    case 15: return csi('PX@');
    case 16: return csi('ABEF');
    case 17: return random.oneOf(['\x1b[J', '\x1b[s', '\x1b7', '\x1bM', `\x1b7${csi('ABCD')}${token(random)}\x1b8`, `\x1b[s${token(random)}\x1b[u`]);
    case 18: return random.oneOf(SWALLOWED);
    default: return random.below(40) === 0 ? random.oneOf(RARE) : random.oneOf(WORDS);
  }
}

/** Up to twelve messages; every other time they begin with a screen full of rows. */
export function messagesOf(seed) {
  const random = randomOf(seed);
  const messages = random.below(2) === 0 ? [] : Array.from({ length: 45 }, (_, at) => `row ${at}`);
  const count = 1 + random.below(12);
  for (let message = 0; message < count; message += 1) {
    messages.push(Array.from({ length: random.below(14) }, () => token(random)).join(''));
  }
  return messages;
}
