// Why submissions were refused. A spent budget is one organization's; for what else is wrong, another one helps not.

/**
 * @typedef {object} Refusal
 * @property {string} message
 * @property {string} code
 * @property {number|null} until when submitting makes sense again, in milliseconds since the epoch; null: not known
 */

export class Refusals {
  /** @type {Refusal|null} */
  #last = null;
  /** @type {Map<string|undefined, Refusal>} of spent budgets, by organization id */
  #budgets = new Map();

  /**
   * @param {Refusal} refusal
   * @param {string|undefined} organizationId for whom was submitted
   */
  add(refusal, organizationId) {
    if (refusal.code === "budget_spent") this.#budgets.set(organizationId, refusal);
    else this.#last = refusal;
  }

  /**
   * What stands against a submission for this organization now; null for nothing.
   * @param {string|undefined} organizationId
   */
  get(organizationId) {
    const refusals = [this.#budgets.get(organizationId), this.#last];
    return refusals.find((refusal) => refusal && (refusal.until === null || refusal.until > Date.now())) ?? null;
  }

  /**
   * Forget what stood against a submission, which is tried again.
   * @param {string|undefined} organizationId
   */
  clear(organizationId) {
    if (!this.#budgets.delete(organizationId)) this.#last = null;
  }
}
