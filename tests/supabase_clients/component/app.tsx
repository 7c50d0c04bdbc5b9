import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { AIImageForm } from "./ai-image-form";

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <AIImageForm />
  </StrictMode>,
);
