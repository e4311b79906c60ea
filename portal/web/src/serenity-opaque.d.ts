// dist/serenity-opaque.js is the published file of @serenity-kit/opaque.
export * from '@serenity-kit/opaque';
