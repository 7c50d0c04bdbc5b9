// Small variants of pictures: made by the object store, where the gateway's operator has allowed it.

const PICTURE = "/storage/v1/object/public/";
const VARIANT = "/storage/v1/render/image/public/";

/** The gateway's stable URLs of private pictures, which lead on to a variant too. */
const REDIRECTED = "/api/ai-images/";

/** One variant for strip and library, at twice their size in pixels; the gateway signs the same. */
const SIZE = { width: "320", height: "400", resize: "cover" };

/**
 * Where a picture's small variant is; the picture itself where it has none.
 * @param {string} url
 */
export function thumbnailUrl(url) {
  const target = new URL(url, location.href);
  if (target.pathname.startsWith(REDIRECTED)) target.searchParams.set("size", "small");
  else if (target.pathname.includes(PICTURE)) {
    target.pathname = target.pathname.replace(PICTURE, VARIANT);
    for (const [name, value] of Object.entries(SIZE)) target.searchParams.set(name, value);
  } else return url;
  return target.href;
}

/**
 * Show a picture as a small variant, if any are made; one that cannot be had is replaced by the picture itself.
 * @param {HTMLImageElement} image
 * @param {string} url
 * @param {{ areMade: boolean, onMissing: () => void }} options `onMissing`: told when the picture cannot be had either
 */
export function showSmall(image, url, { areMade, onMissing }) {
  const small = areMade ? thumbnailUrl(url) : url;
  image.onerror = () => {
    if (image.getAttribute("src") === url) onMissing();
    else image.src = url;
  };
  image.src = small;
}
