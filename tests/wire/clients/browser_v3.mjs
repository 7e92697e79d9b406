// The cases with the AWS SDK for JavaScript v3 in a browser; esbuild bundles this file with the SDK.
import * as sdk from "@aws-sdk/client-rekognition";

globalThis.tryCases = async ({ url, keys, photos, bucket }) => {
  const bytes = (name) => ({ Bytes: Uint8Array.from(atob(photos[name]), (letter) => letter.charCodeAt(0)) });
  const stored = (name) => ({ S3Object: { Bucket: bucket, Name: name } });
  const cases = {
    bytes: ["full", bytes("person")],
    stored: ["full", stored("person.jpg")],
    session: ["session", bytes("person")],
    nobody: ["full", bytes("no-face")],
    text: ["full", bytes("text")],
    missing: ["full", stored("missing.jpg")],
    denied: ["denied", bytes("person")],
    revoked: ["revoked", bytes("person")],
  };

  const found = {}, requestIds = [];
  for (const [name, [key, source]] of Object.entries(cases)) {
    const [accessKeyId, secretAccessKey, sessionToken] = keys[key];
    const credentials = { accessKeyId, secretAccessKey, sessionToken: sessionToken || undefined };
    const client = new sdk.RekognitionClient({ endpoint: url, region: "eu-central-1", credentials, maxAttempts: 1 });
    try {
      const command = new sdk.CompareFacesCommand({ SourceImage: source, TargetImage: bytes("again") });
      const answer = await client.send(command);
      found[name] = `${answer.FaceMatches.length} match`;
      requestIds.push(answer.$metadata.requestId);
    } catch (error) {
      const known = sdk[error.name] ?? sdk.RekognitionServiceException;
      found[name] = error instanceof known ? error.name : `not the SDK's own: ${error}`;
      requestIds.push(error.$metadata?.requestId);
    }
  }
  return { found, requestIds };
};
