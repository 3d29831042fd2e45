// A list whose links lie in its members: adding and removing is a few writes, and allocates nothing.
//
// Rejected: Set and Map for things that come and go with every call. V8 fills their tables to the end before it makes new ones, and an
// old table keeps what was in it reachable: once it is promoted, everything that was open at that moment survives every young collection
// with it, and so does nearly everything after (on 60,000 calls a second nine bytes of ten were promoted, and a third of
// the time went into it). A Set that is old grows old tables, too: with no more than six members, which came and went with every
// request to Kafka, it filled the old generation with more than a megabyte a second.
//
// Invariant: a member that is not in the list links to nothing, for the same reason.

/** Is in one list at most. */
export interface Linked<T> {
  previous: T | undefined;
  next: T | undefined;
}

export class LinkedList<T extends Linked<T>> {
  #first: T | undefined;
  #last: T | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get first(): T | undefined {
    return this.#first;
  }

  /** At the end. @param member in no list. */
  add(member: T): void {
    this.#size++;
    member.previous = this.#last;
    if (this.#last === undefined) this.#first = member;
    else this.#last.next = member;
    this.#last = member;
  }

  /** @param member in this list, or in none. */
  has(member: T): boolean {
    return member.previous !== undefined || member.next !== undefined || this.#first === member;
  }

  /** @returns whether it was in the list. */
  remove(member: T): boolean {
    if (!this.has(member)) return false;
    const { previous, next } = member;
    this.#size--;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    member.previous = undefined;
    member.next = undefined;
    return true;
  }

  clear(): void {
    for (let member = this.#first; member !== undefined; member = this.#first) this.remove(member);
  }

  /** The members as they are now. */
  toArray(): T[] {
    const members: T[] = [];
    for (let member = this.#first; member !== undefined; member = member.next) members.push(member);
    return members;
  }
}
