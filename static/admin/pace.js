/** An action that is wanted more often than it should run: at once, then at most every `interval` milliseconds. */
export function paced(interval, action) {
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
      if (wantedAgain) want();
    }
  }

  function want() {
    wantedAgain = running;
    if (running || timer !== null) return;
    timer = setTimeout(run, Math.max(0, began + interval - performance.now()));
  }

  return want;
}
