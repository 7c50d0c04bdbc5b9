// The linter's rules for static/: ESLint's and typescript-eslint's strict sets, with types from the JSDoc comments.
import js from "@eslint/js";
import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

export default defineConfig(
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  js.configs.recommended,
  {
    files: ["static/**/*.js"],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { project: "tests/javascript/tsconfig.json", tsconfigRootDir: `${import.meta.dirname}/../..` },
    },
    rules: {
      eqeqeq: ["error", "always", { null: "ignore" }],
      "no-shadow": "error",
      "no-undef": "off", // the type check knows what a browser has
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      // `onclick: () => this.#retry()` is how a listener is written.
      "@typescript-eslint/no-confusing-void-expression": "off",
      "@typescript-eslint/no-misused-promises": ["error", { checksVoidReturn: false }],
      // The types are those of the newest browsers in secure contexts; others have less, and a gateway may be older.
      "@typescript-eslint/no-unnecessary-condition": "off",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
    },
  },
  // What static/README.md promises of the client, as far as tsconfig.client.json does not see it.
  {
    files: ["static/gateway.js"],
    rules: {
      "no-restricted-syntax": [
        "error",
        { selector: "StaticBlock", message: "Safari has it since 16.4, and the client runs in 15." },
        { selector: "Literal[regex.pattern=/\\(\\?<[=!]/]", message: "Safari looks behind since 16.4; this runs in 15." },
      ],
    },
  },
);
