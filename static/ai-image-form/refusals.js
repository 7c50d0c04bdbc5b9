// Why submissions were refused. A spent budget is one organization's; whatever else is wrong, choosing another helps not.

export class Refusals {
  #last = null;
  #budgets = new Map(); // organization id → refusal

  /**
   * @param {{ message: string, until: number|null, code: string|null }} refusal
   * @param {string|undefined} organizationId for whom was submitted
   */
  add(refusal, organizationId) {
    if (refusal.code === "budget_spent") this.#budgets.set(organizationId, refusal);
    else this.#last = refusal;
  }

  /** What stands against a submission for this organization now; null for nothing. */
  get(organizationId) {
    return [this.#budgets.get(organizationId), this.#last].find(stands) ?? null;
  }

  /** It is tried again. */
  drop(organizationId) {
    if (!this.#budgets.delete(organizationId)) this.#last = null;
  }
}

function stands(refusal) {
  return Boolean(refusal) && (refusal.until === null || refusal.until > Date.now());
}
