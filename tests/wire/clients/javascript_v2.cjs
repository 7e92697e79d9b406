// The cases with the AWS SDK for JavaScript v2.
const { readFileSync } = require("node:fs");
const AWS = require("aws-sdk");

const { url, keys, files, bucket } = JSON.parse(process.argv[2]);
const bytes = (name) => ({ Bytes: readFileSync(files[name]) });
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

(async () => {
  const found = {};
  for (const [name, [key, source]] of Object.entries(cases)) {
    const [accessKeyId, secretAccessKey, sessionToken] = keys[key];
    const credentials = { accessKeyId, secretAccessKey, sessionToken };
    const client = new AWS.Rekognition({ endpoint: url, region: "eu-central-1", credentials, maxRetries: 0 });
    try {
      const answer = await client.compareFaces({ SourceImage: source, TargetImage: bytes("again") }).promise();
      found[name] = `${answer.FaceMatches.length} match`;
    } catch (error) {
      found[name] = error.code;
    }
  }
  console.log(JSON.stringify(found));
})();
