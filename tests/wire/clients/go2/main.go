// The cases with the AWS SDK for Go v2.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/rekognition"
	"github.com/aws/aws-sdk-go-v2/service/rekognition/types"
	"github.com/aws/smithy-go"
)

type given struct {
	URL    string
	Keys   map[string][3]string
	Files  map[string]string
	Bucket string
}

func main() {
	var in given
	if err := json.Unmarshal([]byte(os.Args[1]), &in); err != nil {
		panic(err)
	}
	bytes := func(name string) *types.Image {
		data, err := os.ReadFile(in.Files[name])
		if err != nil {
			panic(err)
		}
		return &types.Image{Bytes: data}
	}
	stored := func(name string) *types.Image {
		return &types.Image{S3Object: &types.S3Object{Bucket: &in.Bucket, Name: &name}}
	}
	found := map[string]string{}
	try := func(name, key string, source *types.Image) {
		k := in.Keys[key]
		client := rekognition.New(rekognition.Options{
			Region: "eu-central-1", EndpointResolver: rekognition.EndpointResolverFromURL(in.URL), Retryer: aws.NopRetryer{},
			Credentials: credentials.NewStaticCredentialsProvider(k[0], k[1], k[2]),
		})
		answer, err := client.CompareFaces(context.Background(),
			&rekognition.CompareFacesInput{SourceImage: source, TargetImage: bytes("again")})
		var service smithy.APIError
		switch {
		case err == nil:
			found[name] = fmt.Sprintf("%d match", len(answer.FaceMatches))
		case errors.As(err, &service):
			found[name] = service.ErrorCode()
		default:
			found[name] = err.Error()
		}
		var generic *smithy.GenericAPIError
		if name != "revoked" && errors.As(err, &generic) {
			found[name] += " without a type of its own"
		}
	}
	try("bytes", "full", bytes("person"))
	try("stored", "full", stored("person.jpg"))
	try("session", "session", bytes("person"))
	try("nobody", "full", bytes("no-face"))
	try("text", "full", bytes("text"))
	try("missing", "full", stored("missing.jpg"))
	try("denied", "denied", bytes("person"))
	try("revoked", "revoked", bytes("person"))
	json.NewEncoder(os.Stdout).Encode(found)
}
