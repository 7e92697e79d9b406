// The cases with the AWS SDK for Go v1.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"

	"github.com/aws/aws-sdk-go/aws"
	"github.com/aws/aws-sdk-go/aws/awserr"
	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/aws/aws-sdk-go/aws/session"
	"github.com/aws/aws-sdk-go/service/rekognition"
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
	bytes := func(name string) *rekognition.Image {
		data, err := os.ReadFile(in.Files[name])
		if err != nil {
			panic(err)
		}
		return &rekognition.Image{Bytes: data}
	}
	stored := func(name string) *rekognition.Image {
		return &rekognition.Image{S3Object: &rekognition.S3Object{Bucket: &in.Bucket, Name: &name}}
	}
	found := map[string]string{}
	try := func(name, key string, source *rekognition.Image) {
		k := in.Keys[key]
		client := rekognition.New(session.Must(session.NewSession(&aws.Config{
			Endpoint: &in.URL, Region: aws.String("eu-central-1"), MaxRetries: aws.Int(0),
			Credentials: credentials.NewStaticCredentials(k[0], k[1], k[2]),
		})))
		answer, err := client.CompareFaces(&rekognition.CompareFacesInput{SourceImage: source, TargetImage: bytes("again")})
		if err == nil {
			found[name] = fmt.Sprintf("%d match", len(answer.FaceMatches))
			return
		}
		found[name] = err.(awserr.Error).Code()
		own := reflect.TypeOf(err).Elem().Name() // a modelled error has a type of its own
		if own != found[name] && own != "requestError" {
			found[name] = own
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
