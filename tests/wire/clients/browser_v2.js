// The cases with the AWS SDK for JavaScript v2 in a browser, after the SDK's own bundle, which sets AWS.
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
    const credentials = { accessKeyId, secretAccessKey, sessionToken };
    const client = new AWS.Rekognition({ endpoint: url, region: "eu-central-1", credentials, maxRetries: 0 });
    const request = client.compareFaces({ SourceImage: source, TargetImage: bytes("again") });
    try {
      const answer = await request.promise();
      found[name] = `${answer.FaceMatches.length} match`;
    } catch (error) {
      found[name] = error.code;
    }
    requestIds.push(request.response.requestId);
  }
  return { found, requestIds };
};
