// Why submissions were refused. Some refusals are one organization's; for what else is wrong, another one helps not.

/** What choosing another organization mends. */
const ORGANIZATION_CODES = new Set(["organization_required", "not_a_member", "budget_spent"]);

/**
 * @typedef {object} Refusal
 * @property {string} message
 * @property {string} code
 * @property {number|null} until when submitting makes sense again, in milliseconds since the epoch; null: not known
 */

export class Refusals {
  /** @type {Refusal|null} */
  #last = null;
  /** @type {Map<string|undefined, Refusal>} by organization id; undefined: none was named */
  #ofOrganizations = new Map();

  /**
   * @param {Refusal} refusal
   * @param {string|undefined} organizationId for whom was submitted
   */
  add(refusal, organizationId) {
    if (ORGANIZATION_CODES.has(refusal.code)) this.#ofOrganizations.set(organizationId, refusal);
    else this.#last = refusal;
  }

  /**
   * What stands against a submission for this organization now; null for nothing.
   * @param {string|undefined} organizationId
   */
  get(organizationId) {
    const refusals = [this.#ofOrganizations.get(organizationId), this.#last];
    return refusals.find((refusal) => refusal && (refusal.until === null || refusal.until > Date.now())) ?? null;
  }

  /**
   * Forget what stood against a submission, which is tried again.
   * @param {string|undefined} organizationId
   */
  clear(organizationId) {
    if (!this.#ofOrganizations.delete(organizationId)) this.#last = null;
  }
}
