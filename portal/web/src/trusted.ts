// The pages' one Trusted Types policy: where text becomes HTML or the address of a script.
//
// Security: HTML is mail for the sandboxed frame; the one script is the worker that stretches passphrases.

interface Rules {
  createHTML(html: string): string;
  createScriptURL(address: string): string;
}
interface PolicyFactory {
  createPolicy(name: string, rules: Rules): Rules;
}

let policy: Rules | undefined;

function rules(): Rules {
  const own: Rules = {
    createHTML: (html) => html,
    createScriptURL: (address) => {
      if (!/^\/assets\/[\w-]+\/opaque-worker\.js$/.test(address)) throw new TypeError('not a script of this portal');
      return address;
    },
  };
  const factory = (globalThis as { trustedTypes?: PolicyFactory }).trustedTypes;
  policy ??= factory?.createPolicy('portal', own) ?? own;
  return policy;
}

/** For `mail-frame.ts` alone. */
export function trustedHtml(html: string): string {
  return rules().createHTML(html);
}

export function trustedScript(address: string): string {
  return rules().createScriptURL(address);
}
