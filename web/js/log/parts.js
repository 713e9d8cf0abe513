// Long lines, which come in parts: put together before they get a row. Knows nothing of the DOM.

/** Puts the parts of lines together, as they come. */
export class PartJoiner {
  #begun = null;

  /** Takes an entry; returns those that are whole now, and before them a line whose other parts did not come. */
  push(entry) {
    if (continues(this.#begun, entry)) {
      const message = this.#begun.message + entry.message;
      this.#begun = { ...this.#begun, message, part: entry.part, offset: entry.offset };
      return this.#begun.part < this.#begun.parts ? [] : this.flush();
    }
    const before = this.flush();
    if (!(entry.part < entry.parts)) return [...before, entry];
    this.#begun = entry;
    return before;
  }

  /** The line whose other parts will not come, if there is one. */
  flush() {
    const rest = this.#begun ? [this.#begun] : [];
    this.#begun = null;
    return rest;
  }
}

/** The lines of a page, each as one entry. */
export function joinParts(entries) {
  if (!entries.some((entry) => entry.parts)) return entries;
  const joiner = new PartJoiner();
  return [...entries.flatMap((entry) => joiner.push(entry)), ...joiner.flush()];
}

function continues(begun, { line, part }) {
  return begun !== null && begun.line === line && begun.part + 1 === part;
}
