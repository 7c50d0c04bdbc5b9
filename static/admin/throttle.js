/**
 * An action that is wanted more often than it should run: at once, then at most every `interval` milliseconds.
 * @param {number} interval
 * @param {() => Promise<void>} action
 */
export function throttled(interval, action) {
  /** @type {ReturnType<typeof setTimeout>|null} */
  let timer = null;
  let running = false;
  let wantedAgain = false;
  let began = -Infinity;

  async function run() {
    timer = null;
    running = true;
    began = performance.now();
    try {
      await action();
    } finally {
      running = false;
      if (wantedAgain) schedule();
    }
  }

  function schedule() {
    wantedAgain = running;
    if (running || timer !== null) return;
    timer = setTimeout(run, Math.max(0, began + interval - performance.now()));
  }

  return schedule;
}
