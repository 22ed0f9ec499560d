// Asks for the key, fetches the OpenAPI document with it, and hands both to Swagger UI. Nothing is stored.
"use strict";

const form = document.getElementById("key-form");
const input = document.getElementById("key");
const trouble = document.getElementById("trouble");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  trouble.textContent = "";
  try {
    await show(input.value.trim());
    input.value = "";
    form.hidden = true;
  } catch (error) {
    trouble.textContent = error.message;
  }
});

async function show(key) {
  if (!/^[\x21-\x7e]+$/.test(key)) throw new Error("A key has letters, digits and signs of ASCII only.");
  const headers = { Authorization: `Bearer ${key}` };
  const answer = await fetch("api/v1/openapi.json", { headers, credentials: "omit" });
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Error([problem.detail || `The server answers ${answer.status}.`, problem.hint].filter(Boolean).join("; "));
  }
  const ui = SwaggerUIBundle({
    spec: await answer.json(),
    dom_id: "#reference",
    deepLinking: true,
    docExpansion: "none",
    filter: true,
    persistAuthorization: false,
    validatorUrl: null,
    onComplete: () => ui.preauthorizeApiKey("key", key),
  });
}
